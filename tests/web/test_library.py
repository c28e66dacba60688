"""Transcripts are listed, survive a reload, and can be opened, continued and deleted."""

from contextlib import AsyncExitStack
from pathlib import Path

from playwright.async_api import Browser, Page, Playwright

from tests.server.server_process import Hold, Program
from tests.web.browser import (
    SENTENCES,
    WAV,
    choose_file,
    launch_chromium,
    microphone_flags,
    open_page,
    segment_texts,
    transcribe_file,
    wait_for_segments,
    wait_for_state,
)
from tests.web.media_files import make_file_with_pauses
from tests.web.test_live_recording import start, stop


async def open_entry(page: Page, title: str) -> None:
    if not await page.locator("#library-list").is_visible():
        await page.locator("#library > summary").click()
    await page.locator("#library-list .open", has_text=title).first.click()


async def test_transcript_of_a_file_survives_a_reload(browser: Browser, speech: Program) -> None:
    async with open_page(browser, speech.url) as page:
        await transcribe_file(page, WAV)
        text = page.locator(".segment .text").first
        await text.dblclick()
        await page.keyboard.press("Control+A")
        await page.keyboard.insert_text("edited text")
        await page.keyboard.press("Enter")
        await page.reload()
        await open_entry(page, "test.wav")
        await wait_for_segments(page, "edited text", *SENTENCES[1:])
        assert "English" in await page.locator("#library-list .facts").inner_text()
        await page.get_by_role("button", name="Play from 0:03").click()
        await wait_for_state(page, "() => media.currentTime > 3 && !media.paused")


async def test_deleted_transcript_is_gone(browser: Browser, speech: Program) -> None:
    async with open_page(browser, speech.url) as page:
        page.on("dialog", lambda dialog: dialog.accept())
        await transcribe_file(page, WAV)
        await page.locator("#library > summary").click()
        await page.get_by_role("button", name="Delete: test.wav").click()
        await page.get_by_text("The transcript appears here.").wait_for()
        await page.reload()
        await page.locator("#model option").first.wait_for(state="attached")
        assert not await page.locator("#library").is_visible()


async def test_kept_recording_survives_a_reload_and_is_continued(
    chromium: Playwright, speech: Program
) -> None:
    async with AsyncExitStack() as stack:
        browser = await stack.enter_async_context(launch_chromium(chromium, *microphone_flags(WAV)))
        page = await stack.enter_async_context(open_page(browser, speech.url))
        await page.get_by_label("Keep recordings in this browser").check()
        await start(page)
        await page.locator(".segment:not([data-speech])", has_text=SENTENCES[0]).wait_for()
        await stop(page)
        texts = await segment_texts(page)
        await wait_for_state(page, "() => media.duration > 2")
        first = await page.evaluate("media.duration")
        await page.reload()
        assert await page.get_by_label("Keep recordings in this browser").is_checked()
        await open_entry(page, "Recording")
        await wait_for_segments(page, *texts)
        await wait_for_state(page, "() => media.duration > 2")
        assert abs(await page.evaluate("media.duration") - first) < 0.1
        await start(page)
        await wait_for_state(page, "() => document.querySelector('#elapsed').textContent >= '0:01'")
        await stop(page)
        await wait_for_state(page, f"() => media.duration > {first} + 0.9")
        assert (await segment_texts(page))[: len(texts)] == texts


async def test_recording_that_is_not_kept_is_not_stored(chromium: Playwright, speech: Program) -> None:
    async with AsyncExitStack() as stack:
        browser = await stack.enter_async_context(launch_chromium(chromium, *microphone_flags(WAV)))
        page = await stack.enter_async_context(open_page(browser, speech.url))
        await start(page)
        await page.locator(".segment:not([data-speech])", has_text=SENTENCES[0]).wait_for()
        await stop(page)
        facts = await page.locator("#library-list .facts").text_content()
        assert "in this tab only" in (facts or "")
        page.on("dialog", lambda dialog: dialog.accept())
        await page.get_by_role("button", name="New", exact=True).click()
        assert await segment_texts(page) == [], "a new one takes nothing away"
        await open_entry(page, "Recording")
        assert (await segment_texts(page))[0] == SENTENCES[0]
        await page.reload()
        await page.locator("#model option").first.wait_for(state="attached")
        assert not await page.locator("#library").is_visible()


COUNTS = """
() => new Promise((resolve, reject) => {
  const request = indexedDB.open("stt-library");
  request.onerror = () => reject(request.error);
  request.onsuccess = () => {
    const stores = ["entries", "segments", "media"];
    const transaction = request.result.transaction(stores);
    const counts = stores.map((name) => transaction.objectStore(name).count());
    transaction.oncomplete = () => resolve(counts.map((count) => count.result));
  };
})
"""


async def test_file_without_text_is_not_stored(browser: Browser, speech: Program, tmp_path: Path) -> None:
    (tmp_path / "text.wav").write_text("Only a text. " * 100)
    async with open_page(browser, speech.url, allowed_errors="400") as page:
        await choose_file(page, tmp_path / "text.wav")
        await page.get_by_role("button", name="Transcribe").click()
        await page.get_by_role("alert").get_by_text("Invalid file format").wait_for()
        assert await page.evaluate(COUNTS) == [0, 0, 0]
        page.on("dialog", lambda dialog: dialog.accept())
        await transcribe_file(page, WAV)
        assert await page.evaluate(COUNTS) == [1, len(SENTENCES), 1]
        await page.get_by_role("button", name="Delete", exact=True).click()
        await page.get_by_text("The transcript appears here.").wait_for()
        assert await page.evaluate(COUNTS) == [0, 0, 0]


async def test_reload_keeps_what_a_running_file_had(
    browser: Browser, speech: Program, tmp_path: Path, hold: Hold
) -> None:
    hold.at(SENTENCES[1])
    async with open_page(browser, speech.url) as page:
        page.on("dialog", lambda dialog: dialog.accept())  # a file is being transcribed
        await choose_file(page, make_file_with_pauses(tmp_path, seconds=60))
        await page.get_by_role("button", name="Transcribe").click()
        await page.locator(".segment").first.wait_for()
        await page.reload()
        await open_entry(page, "pauses.wav")
        await page.locator(".segment").first.wait_for()
        assert (await segment_texts(page))[0] == SENTENCES[0]
