"""While the server is slow, loading or full, the page says so, and keeps what is said."""

from contextlib import AsyncExitStack

from playwright.async_api import Browser, Playwright

from tests.scripted import LOAD
from tests.server.live_server import Client, Server, first_sentence, free_settings, serve, spoken
from tests.server.server_process import Hold, Program, scripted
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
from tests.web.test_live_recording import start, stop

# Every text of the status, in the order in which they are shown.
STATUS_TEXTS = """
window.statusTexts = [];
document.addEventListener("DOMContentLoaded", () => {
  const status = document.querySelector("#status-text");
  new MutationObserver(() => statusTexts.push(status.textContent)).observe(status, { childList: true });
});
"""


async def test_speech_is_shown_before_its_words(chromium: Playwright, speech: Program, hold: Hold) -> None:
    hold.at("")
    async with AsyncExitStack() as stack:
        browser = await stack.enter_async_context(launch_chromium(chromium, *microphone_flags(WAV)))
        page = await stack.enter_async_context(open_page(browser, speech.url, script=STATUS_TEXTS))
        await start(page)
        line = page.locator(".segment[data-speech] .tail").first
        await line.wait_for()
        short = await line.inner_text()
        await wait_for_state(
            page,
            f"() => document.querySelector('.segment[data-speech] .tail').textContent.length > {len(short)}",
        )
        assert await page.get_by_role("button", name="TXT", exact=True).is_disabled(), (
            "there are no words yet"
        )
        await wait_for_state(
            page,
            "() => /The server is \\d+ s behind/.test(document.querySelector('#status-detail').textContent)",
        )
        hold.release()
        await wait_for_segments(page, *SENTENCES)
        await stop(page)
        assert await page.locator("#status-detail").inner_text() == ""
        assert not [text for text in await page.evaluate("statusTexts") if "Connection" in text]


async def test_words_spoken_while_the_recognizer_loads_are_kept(chromium: Playwright, hold: Hold) -> None:
    hold.at(LOAD)
    async with AsyncExitStack() as stack:
        browser = await stack.enter_async_context(launch_chromium(chromium, *microphone_flags(WAV)))
        server = stack.enter_context(scripted(**hold.settings))
        server.get("/health")
        page = await stack.enter_async_context(open_page(browser, server.url, allowed_errors="503"))
        await page.get_by_text("The recognizer is being loaded.").wait_for()
        await start(page)
        await page.get_by_text("your words are kept until it is ready").wait_for()
        hold.release()
        await wait_for_segments(page, *SENTENCES)
        await stop(page)
        assert await segment_texts(page) == SENTENCES


async def test_refused_first_connection_joins_when_there_is_room(chromium: Playwright) -> None:
    async with AsyncExitStack() as stack:
        browser = await stack.enter_async_context(launch_chromium(chromium, *microphone_flags(WAV)))
        server = stack.enter_context(serve(free_settings(max_sessions=1)))
        page = await stack.enter_async_context(
            open_page(browser, server.url, script=STATUS_TEXTS, allowed_errors="503|WebSocket")
        )
        with Client(server.ws) as other:
            other.talk(first_sentence())
            wait_until(lambda: server.metric("stt_open_sessions") == 1)
            await start(page)
            await page.get_by_text("1 sessions are open, which is the limit. Trying again").wait_for()
            await page.get_by_text("Next try in").wait_for()
            assert await page.locator("#status-text").get_attribute("data-kind") == "busy"
        await page.get_by_text("Listening.", exact=True).wait_for()
        await stop(page)
        texts = await page.evaluate("statusTexts")
        assert not [text for text in texts if "lost" in text or "Reconnect" in text], texts


async def test_server_that_is_behind_says_by_how_much(chromium: Playwright) -> None:
    async with AsyncExitStack() as stack:
        browser = await stack.enter_async_context(launch_chromium(chromium, *microphone_flags(WAV)))
        server = stack.enter_context(
            scripted(SCRIPTED_SECONDS="5", ASR_BATCH_ITEMS="1", MAX_LAG_SECONDS="2", RESUME_SECONDS="0")
        )
        assert server.ready()["ready"], server.log
        page = await stack.enter_async_context(
            open_page(browser, server.url, script=STATUS_TEXTS, allowed_errors="503|WebSocket")
        )
        with Client(server.ws) as other:
            other.talk(spoken())
            other.say("end_of_stream")
            wait_until(lambda: server.get("/ws/stt").json()["lag_ms"] > 2000, 60)
            await start(page)
            await wait_for_state(
                page,
                "() => statusTexts.some((text) => /The server is busy: \\d+ s behind; joining/.test(text))",
            )
        await page.get_by_text("Listening.", exact=True).wait_for()
        texts = await page.evaluate("statusTexts")
        assert not [text for text in texts if "lost" in text or "Reconnect" in text], texts
        await page.get_by_role("button", name="Stop").click()
        await page.get_by_role("button", name="Finish now").click()


async def test_silence_is_named(browser: Browser, shell: Server) -> None:
    async with open_page(browser, shell.url) as page:
        await start(page)  # a microphone that beeps
        await page.get_by_text("No speech has been heard yet.").wait_for()
        await page.get_by_role("button", name="Stop").click()
        await page.get_by_text("Done. No speech was heard.").wait_for()
