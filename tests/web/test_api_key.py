"""The page asks for an API key only if the server requires one."""

from playwright.async_api import Browser, Page

from tests.server.live_server import Server, free_settings, serve
from tests.web.browser import open_page

KEY = "0123456789abcdef0123456789abcdef"
REFUSED = "401|WebSocket"  # errors that the browser logs when the server refuses a request


async def enter_key(page: Page, key: str) -> None:
    await page.get_by_label("This server requires an API key").fill(key)
    await page.get_by_role("button", name="Use key").click()


async def record(page: Page) -> None:
    await page.get_by_role("button", name="Start recording").click()
    await page.get_by_text("Listening.", exact=True).wait_for()
    await page.get_by_role("button", name="Stop").click()
    await page.get_by_text("Done.").wait_for()


async def test_key_is_used_everywhere_and_stays_in_its_tab(browser: Browser) -> None:
    with serve(free_settings(api_keys=f"tester:{KEY}")) as server:
        async with open_page(browser, server.url, allowed_errors=REFUSED) as page:
            await enter_key(page, "wrong-wrong-wrong-wrong")
            await page.get_by_text("The API key is not valid.").wait_for()
            await enter_key(page, KEY)
            await page.locator("#model option").first.wait_for(state="attached")
            assert not await page.locator("#key-form").is_visible()
            await record(page)
            await page.reload()
            await page.locator("#model option").first.wait_for(state="attached")
            assert await page.evaluate("[localStorage.length, document.cookie]") == [0, ""]
            other = await page.context.new_page()
            await other.goto(server.url)
            await other.get_by_label("This server requires an API key").wait_for()


async def test_remembered_key_is_asked_for_once(browser: Browser) -> None:
    with serve(free_settings(api_keys=f"tester:{KEY}")) as server:
        async with open_page(browser, server.url, allowed_errors=REFUSED) as page:
            await page.get_by_label("Remember the key in this browser").check()
            await enter_key(page, KEY)
            await page.locator("#model option").first.wait_for(state="attached")
            other = await page.context.new_page()
            await other.goto(server.url)
            await other.locator("#model option").first.wait_for(state="attached")
            assert not await other.locator("#key-form").is_visible()
            await record(other)


async def test_key_can_be_entered_while_recording(browser: Browser) -> None:
    with serve(free_settings(api_keys=f"tester:{KEY}")) as server:
        async with open_page(browser, server.url, allowed_errors=REFUSED) as page:
            await page.get_by_role("button", name="Start recording").click()
            await page.get_by_text("The server requires an API key.").wait_for()
            await enter_key(page, KEY)
            await page.get_by_text("Listening.", exact=True).wait_for()
            await page.get_by_role("button", name="Stop").click()
            await page.get_by_text("Done.").wait_for()


async def test_server_without_keys_shows_no_form(browser: Browser, shell: Server) -> None:
    async with open_page(browser, shell.url) as page:
        await page.locator("#model option").first.wait_for(state="attached")
        assert not await page.locator("#key-form").is_visible()
