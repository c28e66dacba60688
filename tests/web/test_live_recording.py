"""Test live recordings on the page: partials, pauses, and broken connections."""

import re
import signal
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from playwright.async_api import Page, Playwright

from tests.server.server_process import Program, free_port, scripted
from tests.waiting import wait_until
from tests.web.browser import (
    SENTENCES,
    WAV,
    launch_chromium,
    microphone_flags,
    open_page,
    segment_texts,
    wait_for_segments,
    wait_for_state,
)

# Types of the messages of a session, in order, before the page gets them.
LISTEN = """
window.heard = [];
const Plain = WebSocket;
window.WebSocket = class extends Plain {
  constructor(...given) {
    super(...given);
    this.addEventListener("message", ({ data }) => heard.push(JSON.parse(data).type));
  }
};
"""

# Close the connection as a network does: without a code.
CUT = """
const Plain = WebSocket;
let last;
window.WebSocket = class extends Plain {
  constructor(...given) {
    super(...given);
    last = this;
  }
};
window.cut = () => last.close();
"""


def until_ready(server: Program) -> None:
    """Wait until the models are loaded and earlier sessions are recovered."""
    wait_until(lambda: server.get("/ready").status_code == 200, 60)


async def start(page: Page) -> None:
    """Start a recording without the browser's audio processing, which would change the results."""
    await page.evaluate("echo.checked = noise.checked = false")
    await page.get_by_role("button", name="Start recording").click()
    await page.get_by_role("button", name="Stop").wait_for()


async def stop(page: Page) -> None:
    await page.get_by_role("button", name="Stop").click()
    await page.get_by_text("Done. The transcript is complete.").wait_for()


async def test_spoken_words_appear_as_partials_and_finals(chromium: Playwright, speech: Program) -> None:
    async with (
        launch_chromium(chromium, *microphone_flags(WAV)) as browser,
        open_page(browser, speech.url, script=LISTEN) as page,
    ):
        await start(page)
        await wait_for_segments(page, *SENTENCES)
        await stop(page)
        assert await segment_texts(page) == SENTENCES
        heard = await page.evaluate("heard")
        partial, final = (
            heard.index(each) for each in ("transcript.partial", "response.audio_transcript.done")
        )
        assert partial < final
        assert re.fullmatch(r"\d+\.\d\d s", await page.locator("#latency").text_content() or "")
        await hears_again(page)


@pytest.mark.parametrize("journal", [False, True], ids=["forgets", "remembers"])
async def test_no_word_is_lost_if_the_server_is_killed(
    chromium: Playwright, tmp_path: Path, journal: bool
) -> None:
    settings = {"PORT": str(free_port())}
    if journal:
        settings["JOURNAL_DIR"] = str(tmp_path)
    async with AsyncExitStack() as stack:
        browser = await stack.enter_async_context(launch_chromium(chromium, *microphone_flags(WAV)))
        with scripted(**settings) as first:
            until_ready(first)
            page = await stack.enter_async_context(
                open_page(browser, first.url, allowed_errors="Failed to load|WebSocket")
            )
            await start(page)
            await page.locator(".segment", has_text="she opened").wait_for()
            first.stop(signal.SIGKILL)
        await page.locator("#status-text[data-kind=error]").wait_for()
        with scripted(**settings) as second:
            until_ready(second)
            how = "Reconnected. No audio was lost." if journal else "The server lost the session"
            await page.get_by_text(how).wait_for()
            await wait_for_segments(page, *SENTENCES)
            await stop(page)
            assert await segment_texts(page) == SENTENCES


async def test_no_word_is_lost_if_the_connection_breaks(chromium: Playwright, speech: Program) -> None:
    async with (
        launch_chromium(chromium, *microphone_flags(WAV)) as browser,
        open_page(browser, speech.url, script=CUT, allowed_errors="WebSocket") as page,
    ):
        await start(page)
        await page.locator(".segment", has_text="she opened").wait_for()
        await page.evaluate("cut()")
        await page.get_by_text("Reconnected. No audio was lost.").wait_for()
        await wait_for_segments(page, *SENTENCES)
        await stop(page)
        assert await segment_texts(page) == SENTENCES


async def test_paused_recording_sends_no_audio(chromium: Playwright, speech: Program) -> None:
    async with (
        launch_chromium(chromium, *microphone_flags(WAV)) as browser,
        open_page(browser, speech.url, reduced_motion="no-preference") as page,
    ):
        await start(page)
        await wait_for_segments(page, SENTENCES[0])
        await page.get_by_role("button", name="Pause").click()
        # This page shows the time in each frame, so that it is up to date here.
        elapsed = await page.locator("#elapsed").inner_text()
        await page.wait_for_timeout(1_500)
        assert await page.locator("#elapsed").inner_text() == elapsed
        await page.get_by_role("button", name="Resume").click()
        await wait_for_state(page, f"() => document.querySelector('#elapsed').textContent > '{elapsed}'")
        await stop(page)


async def test_last_words_appear_after_stop(chromium: Playwright, speech: Program) -> None:
    async with (
        launch_chromium(chromium, *microphone_flags(WAV)) as browser,
        open_page(browser, speech.url) as page,
    ):
        await start(page)
        await page.locator(".segment", has_text="she opened the window").wait_for()
        await stop(page)
        texts = await segment_texts(page)
        assert texts[0] == SENTENCES[0]
        assert texts[1].startswith("she opened the window")
        assert await page.locator(".tail").count() == 0


async def test_second_recording_is_appended(chromium: Playwright, speech: Program) -> None:
    async with (
        launch_chromium(chromium, *microphone_flags(WAV)) as browser,
        open_page(browser, speech.url) as page,
    ):
        await start(page)
        await wait_for_segments(page, SENTENCES[0])
        await stop(page)
        await wait_for_state(page, "() => document.querySelector('#media').duration > 0")
        first = await page.evaluate("document.querySelector('#media').duration")
        await start(page)
        await wait_for_state(
            page, "() => parseFloat(document.querySelector('#elapsed').textContent.slice(2)) >= 1"
        )
        await stop(page)
        await wait_for_state(page, f"() => document.querySelector('#media').duration > {first} + 0.9")
        assert (await segment_texts(page))[0] == SENTENCES[0]


async def hears_again(page: Page) -> None:
    """Check that the recording can be played from any word."""
    await page.locator(".word", has_text="river").click()
    await wait_for_state(page, "() => document.querySelector('#media').currentTime > 5")
