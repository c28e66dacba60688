"""A video has the transcript as captions, edits included."""

from pathlib import Path

from playwright.async_api import Browser

from tests.server.server_process import Program
from tests.web.browser import SENTENCES, open_page, transcribe_file, wait_for_state
from tests.web.media_files import make_file

TEXT = "[...media.textTracks[0].cues].map((cue) => cue.text.replaceAll('\\n', ' ')).join(' ')"


async def test_video_has_captions(browser: Browser, speech: Program, tmp_path: Path) -> None:
    async with open_page(browser, speech.url) as page:
        await transcribe_file(page, make_file(tmp_path, "webm"))
        assert await page.evaluate(TEXT) == SENTENCES[0]
        await page.get_by_role("button", name="Play from").first.click()
        await wait_for_state(page, "() => media.textTracks[0].activeCues.length > 0")
        await page.locator(".segment .text").first.dblclick()
        await page.keyboard.press("Control+A")
        await page.keyboard.insert_text("a <b> & c")
        await page.keyboard.press("Enter")
        assert await page.evaluate(TEXT) == "a &lt;b&gt; &amp; c"
        await page.keyboard.press("Control+z")
        assert await page.evaluate(TEXT) == SENTENCES[0]
