"""Media keys control the player, and the system shows what it plays."""

from playwright.async_api import Browser

from tests.server.server_process import Program
from tests.web.browser import WAV, open_page, transcribe_file, wait_for_state
from tests.web.test_live_recording import start

# The browser gives handlers to the system only; note them, so that a test can press the keys.
NOTE = """
window.handlers = {};
const plain = MediaSession.prototype.setActionHandler;
MediaSession.prototype.setActionHandler = function (action, handler) {
  handlers[action] = handler;
  plain.call(this, action, handler);
};
"""
TITLE = "navigator.mediaSession.metadata?.title ?? null"
STATE = "navigator.mediaSession.playbackState"


async def test_media_keys_control_the_player(browser: Browser, speech: Program) -> None:
    async with open_page(browser, speech.url, script=NOTE) as page:
        assert (await page.evaluate(TITLE), await page.evaluate(STATE)) == (None, "none")
        await transcribe_file(page, WAV)
        assert (await page.evaluate(TITLE), await page.evaluate(STATE)) == ("test.wav", "paused")
        await page.evaluate("handlers.play()")
        await wait_for_state(page, f"() => !media.paused && {STATE} === 'playing'")
        await page.evaluate("handlers.nexttrack()")
        await wait_for_state(page, "() => media.currentTime >= 3 && media.currentTime < 7")
        await page.evaluate("handlers.pause()")
        await wait_for_state(page, f"() => media.paused && {STATE} === 'paused'")
        for action, details, expected in (
            ("seekto", "{ seekTime: 6 }", 6),
            ("seekbackward", "{}", 1),
            ("seekforward", "{ seekOffset: 8 }", 9),
        ):
            await page.evaluate(f"handlers.{action}({details})")
            assert await page.evaluate("media.currentTime") == expected
        await page.evaluate("handlers.previoustrack()")
        await wait_for_state(page, "() => !media.paused && media.currentTime >= 7 && media.currentTime < 9")


async def test_media_keys_do_nothing_while_recording(browser: Browser, speech: Program) -> None:
    async with open_page(browser, speech.url, script=NOTE) as page:
        await transcribe_file(page, WAV)
        await start(page)
        assert await page.evaluate(TITLE) is None
        assert set(await page.evaluate("Object.values(handlers)")) == {None}
        await page.get_by_role("button", name="Stop").click()
        await page.get_by_text("Done.").wait_for()
