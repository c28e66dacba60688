"""The sound of a tab or screen is recorded, alone or beside the microphone."""

from contextlib import AsyncExitStack

import pytest
from playwright.async_api import Playwright

from tests.server.server_process import Program
from tests.web.browser import (
    FAKE_MICROPHONE,
    SENTENCES,
    WAV,
    launch_chromium,
    microphone_flags,
    open_page,
    segment_texts,
    wait_for_segments,
    wait_for_state,
)
from tests.web.test_live_recording import start, stop

# The calls for a microphone and for a tab, which pass through unchanged.
CALLS = """
window.calls = [];
for (const name of ["getUserMedia", "getDisplayMedia"]) {
  const plain = navigator.mediaDevices[name].bind(navigator.mediaDevices);
  navigator.mediaDevices[name] = (...given) => (calls.push(name), plain(...given));
}
"""


async def test_shared_sound_is_transcribed(chromium: Playwright, speech: Program) -> None:
    async with AsyncExitStack() as stack:
        browser = await stack.enter_async_context(launch_chromium(chromium, *microphone_flags(WAV)))
        page = await stack.enter_async_context(open_page(browser, speech.url, script=CALLS))
        await page.evaluate("sound.value = 'screen'")
        await start(page)
        await wait_for_segments(page, *SENTENCES)
        await stop(page)
        assert await page.evaluate("calls") == ["getDisplayMedia"]


async def test_both_sounds_are_two_labelled_tracks_in_order_of_time(
    chromium: Playwright, speech: Program
) -> None:
    async with AsyncExitStack() as stack:
        browser = await stack.enter_async_context(launch_chromium(chromium, *microphone_flags(WAV)))
        page = await stack.enter_async_context(open_page(browser, speech.url, script=CALLS))
        await page.evaluate("sound.value = 'both'")
        await start(page)
        for track in ("Me", "Tab"):
            for sentence in SENTENCES:
                name = page.get_by_text(track, exact=True)
                await page.locator(".segment", has_text=sentence).filter(has=name).wait_for()
        await stop(page)
        assert await page.evaluate("calls") == ["getDisplayMedia", "getUserMedia"]
        assert sorted(await segment_texts(page)) == sorted(2 * SENTENCES)
        starts = await page.locator(".segment .time").all_inner_texts()
        assert starts == sorted(starts)
        assert await page.locator("#share").is_hidden()  # a link would show one track only
        await page.get_by_role("button", name="Tab").first.click()
        await page.keyboard.insert_text("Customer")
        await page.keyboard.press("Enter")
        assert await page.get_by_role("button", name="Customer").count() == len(SENTENCES)


async def test_both_sounds_can_be_mixed(chromium: Playwright, speech: Program) -> None:
    async with AsyncExitStack() as stack:
        browser = await stack.enter_async_context(launch_chromium(chromium, *microphone_flags(WAV)))
        page = await stack.enter_async_context(open_page(browser, speech.url, script=CALLS))
        await page.evaluate("sound.value = 'mixed'")
        await start(page)
        await wait_for_state(page, "() => level.value > 0.3")
        await page.locator(".segment").first.wait_for()
        await stop(page)
        assert await page.evaluate("calls") == ["getDisplayMedia", "getUserMedia"]
        assert await page.locator(".speaker:visible").count() == 0


@pytest.mark.parametrize(
    ("sound", "message"), [("screen", "Nothing was shared."), ("microphone", "Microphone access was denied.")]
)
async def test_refusal_is_explained(chromium: Playwright, speech: Program, sound: str, message: str) -> None:
    flags = (*FAKE_MICROPHONE, "--use-fake-ui-for-media-stream=deny")
    async with (
        launch_chromium(chromium, *flags) as browser,
        open_page(browser, speech.url) as page,
    ):
        await page.evaluate(f"sound.value = '{sound}'")
        await page.get_by_role("button", name="Start recording").click()
        await page.get_by_role("alert").get_by_text(message).wait_for()
        assert await page.get_by_role("button", name="Start recording").is_visible()
