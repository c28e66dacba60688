"""The page always says which recognizer runs, where, and why it is a fallback."""

import os
from pathlib import Path
from threading import Event
from typing import ClassVar

from playwright.async_api import Browser

from asr.model_registry import NOT_IN_REACH, POOR_WORDS
from tests.asr.test_model_hub import Library, library
from tests.scripted import LOAD
from tests.server.live_server import Server
from tests.server.server_process import Hold, program, scripted
from tests.web.browser import open_page


async def test_a_fallback_is_announced_with_the_command_that_mends_it(
    browser: Browser, tmp_path: Path
) -> None:
    with program(
        ASR_MODEL="auto",
        ASR_MODEL_CACHE=str(tmp_path),
        HF_HOME=str(tmp_path),
        HF_HUB_OFFLINE="1",
        PIP_NO_INDEX="1",
        PIP_CONFIG_FILE=os.devnull,
    ) as running:
        assert running.ready()["recognizer"]["fallback"] == POOR_WORDS.format(cause=NOT_IN_REACH)
        async with open_page(browser, running.url) as page:
            await page.get_by_text("Recognizer: pocketsphinx on cpu").wait_for()
            notice = page.locator("#model-notice")
            text = (POOR_WORDS.format(cause=NOT_IN_REACH)).replace("`", "")
            assert await notice.inner_text() == text
            assert await notice.locator("code").inner_text() == "./entrypoint.sh pull auto"


async def test_a_requested_model_is_named_without_a_notice(browser: Browser, shell: Server) -> None:
    async with open_page(browser, shell.url) as page:
        await page.get_by_text("Recognizer: free on cpu").wait_for()
        assert not await page.locator("#model-notice").is_visible()


async def test_page_shows_that_the_recognizer_is_loading(browser: Browser, hold: Hold) -> None:
    hold.at(LOAD)
    with scripted(**hold.settings) as server:
        server.get("/health")
        async with open_page(browser, server.url, allowed_errors="503") as page:
            await page.get_by_text("The recognizer is being loaded.").wait_for()
            assert await page.locator("#recognizer-progress").is_visible()
            hold.release()
            await page.get_by_text("Recognizer: scripted on cpu").wait_for()
            assert not await page.locator("#recognizer-progress").is_visible()
            assert await page.locator("#model option").count() == 1


class SlowLibrary(Library):
    """Serve a model whose weights stop half way until the test ends."""

    files: ClassVar = {"config.json": b"{}", "model.safetensors": bytes(40_000_000)}
    ended: ClassVar = Event()

    def _write(self, content: bytes) -> None:
        half = len(content) // 2
        self.wfile.write(content[:half])
        if half > 1000:
            self.ended.wait()
        self.wfile.write(content[half:])


async def test_page_shows_how_much_of_the_model_is_downloaded(browser: Browser, tmp_path: Path) -> None:
    with (
        library(SlowLibrary) as hub,
        program(
            ASR_MODEL="org/name", HF_ENDPOINT=hub, HF_HOME=str(tmp_path), HF_HUB_DISABLE_XET="1"
        ) as server,
    ):
        server.get("/health")
        try:
            async with open_page(browser, server.url, allowed_errors="503") as page:
                await page.get_by_text("The recognizer is being downloaded.").wait_for()
                await page.get_by_text("10 of 40 MB").wait_for()
                assert 0.2 < await page.evaluate("document.querySelector('#recognizer-bar').value") < 0.5
                await page.get_by_role("button", name="Start recording").click()
                await page.get_by_text("The recognizer is still being loaded").wait_for()
        finally:
            SlowLibrary.ended.set()
