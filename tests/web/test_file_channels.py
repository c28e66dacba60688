"""The channels of a file are transcribed apart on request, and each one is a speaker."""

from pathlib import Path

import pytest
from playwright.async_api import Browser, Page

from tests.server.job_requests import CALL
from tests.server.server_process import Program
from tests.web.browser import SENTENCES, choose_file, open_page, transcribe_file, wait_for_segments
from tests.web.test_speakers import names


@pytest.fixture
def call(tmp_path: Path) -> Path:
    """Return a file in which the second channel speaks before the first one."""
    path = tmp_path / "call.wav"
    path.write_bytes(CALL)
    return path


async def keep_channels(page: Page) -> None:
    await page.locator("#recognition-options > summary").click()
    await page.get_by_label("Files: each channel is a speaker").check()


@pytest.mark.parametrize("server", ["speech", "with_jobs"])
async def test_each_channel_is_a_speaker(
    browser: Browser, server: str, call: Path, request: pytest.FixtureRequest
) -> None:
    running: Program = request.getfixturevalue(server)
    async with open_page(browser, running.url) as page:
        await transcribe_file(page, call)
        assert await names(page) == []
    async with open_page(browser, running.url) as page:
        await keep_channels(page)
        await transcribe_file(page, call)
        assert await names(page) == ["Speaker B", "Speaker A"]


async def test_part_of_a_file_keeps_its_channels(browser: Browser, speech: Program, call: Path) -> None:
    async with open_page(browser, speech.url) as page:
        await keep_channels(page)
        await choose_file(page, call)
        end = page.get_by_label("to", exact=True)
        await end.fill("0:03.6")
        await end.press("Tab")
        await page.get_by_role("button", name="Transcribe").click()
        await wait_for_segments(page, SENTENCES[0])
        assert await names(page) == ["Speaker B"], "the first channel is silent in this part"
