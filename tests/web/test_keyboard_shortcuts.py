"""Single keys do what is done most, are listed by `?`, and can be turned off."""

from playwright.async_api import Browser

from tests.server.live_server import Server
from tests.server.server_process import Program
from tests.web.browser import WAV, open_page, transcribe_file, wait_for_state
from tests.web.test_appearance import violations


async def test_keys_record_and_can_be_turned_off(browser: Browser, shell: Server) -> None:
    async with open_page(browser, shell.url) as page:
        await page.locator("#model option").wait_for(state="attached")
        await page.keyboard.press("r")
        await page.get_by_role("button", name="Stop").wait_for()
        await page.keyboard.press("p")
        await page.get_by_role("button", name="Resume").wait_for()
        await page.keyboard.press("r")
        await page.get_by_text("Done.").wait_for()
        await page.keyboard.press("?")
        await page.get_by_role("heading", name="Keyboard shortcuts").wait_for()
        assert await violations(page) == []
        await page.get_by_label("Use single keys").uncheck()
        await page.keyboard.press("Escape")
        await page.get_by_role("heading", name="Keyboard shortcuts").wait_for(state="hidden")
        await page.keyboard.press("/")
        assert await page.evaluate("document.activeElement.id") != "search"
        await page.keyboard.press("?")
        await page.get_by_label("Use single keys").check()
        await page.get_by_role("button", name="Close").click()
        await page.get_by_role("heading", name="Keyboard shortcuts").wait_for(state="hidden")
        await page.keyboard.press("/")
        await wait_for_state(page, "() => document.activeElement.id === 'search'")
        await page.keyboard.press("r")
        assert await page.locator("#search").input_value() == "r", "keys are typed into fields"


async def test_keys_control_the_player(browser: Browser, speech: Program) -> None:
    async with open_page(browser, speech.url) as page:
        await transcribe_file(page, WAV)
        await page.locator("h1").click()
        await page.keyboard.press("k")
        await wait_for_state(page, "() => !media.paused && media.currentTime > 0")
        await page.keyboard.press("l")
        await wait_for_state(page, "() => media.currentTime > 5")
        await page.keyboard.press("]")
        assert await page.evaluate("media.playbackRate") == 1.25
        await page.keyboard.press("k")
        await wait_for_state(page, "() => media.paused")
