"""The page is in the language of the browser, if there are texts in it, else in English."""

import pytest
from playwright.async_api import Browser

from tests.server.server_process import Program
from tests.web.browser import SENTENCES, WAV, open_page, wait_for_segments
from tests.web.test_appearance import NARROW, violations


@pytest.mark.parametrize(
    ("locale", "language", "start", "transcribe"),
    [
        ("de-AT", "de", "Aufnahme starten", "Transkribieren"),
        ("vi-VN", "vi", "Bắt đầu ghi âm", "Chép lời"),
        ("tlh", "en", "Start recording", "Transcribe"),
    ],
)
async def test_page_has_the_language_of_the_browser(
    browser: Browser, speech: Program, locale: str, language: str, start: str, transcribe: str
) -> None:
    async with open_page(browser, speech.url, locale=locale, viewport=NARROW) as page:
        await page.get_by_role("button", name=start).wait_for()
        assert await page.evaluate("document.documentElement.lang") == language
        await page.set_input_files("#file", WAV)
        await page.locator("#transcribe:enabled").wait_for()
        await page.get_by_role("button", name=transcribe, exact=True).click()
        await wait_for_segments(page, *SENTENCES)
        assert await violations(page) == []
        assert await page.evaluate("document.documentElement.scrollWidth") == NARROW["width"]


async def test_no_english_is_left_in_a_translation(browser: Browser, speech: Program) -> None:
    async with open_page(browser, speech.url, locale="de-DE") as page:
        await page.locator("#model option").wait_for(state="attached")
        await page.evaluate("document.querySelectorAll('details').forEach((each) => each.open = true)")
        text = await page.evaluate("document.body.innerText")
        for word in ("recording", "Choose", "Options", "Keep", "Microphone", "Words", "appears"):
            assert word not in text, text
