"""A server that wants a key gets one, from a field that is there only then."""

from playwright.async_api import Browser, Page

from tests.server.running import Server, free_settings, serve
from tests.web.browser import opened

KEY = "0123456789abcdef0123456789abcdef"
REFUSED = "401|WebSocket"  # what a browser's console says of a refusal


async def give(page: Page, key: str) -> None:
    await page.get_by_label("This server wants a key").fill(key)
    await page.get_by_role("button", name="Use it").click()


async def takes_words(page: Page) -> None:
    await page.get_by_role("button", name="Start talking").click()
    await page.get_by_text("Listening.", exact=True).wait_for()
    await page.get_by_role("button", name="Stop").click()
    await page.get_by_text("Done.").wait_for()


async def test_a_key_opens_every_door_and_stays_in_its_tab(browser: Browser) -> None:
    with serve(free_settings(api_keys=f"somebody:{KEY}")) as server:
        async with opened(browser, server.url, troubles=REFUSED) as page:
            await give(page, "wrong-wrong-wrong-wrong")
            await page.get_by_text("This key is not accepted.").wait_for()
            await give(page, KEY)
            await page.locator("#model option").first.wait_for(state="attached")
            assert not await page.locator("#key-form").is_visible()
            await takes_words(page)
            await page.reload()
            await page.locator("#model option").first.wait_for(state="attached")
            assert await page.evaluate("[localStorage.length, document.cookie]") == [0, ""]
            other = await page.context.new_page()
            await other.goto(server.url)
            await other.get_by_label("This server wants a key").wait_for()


async def test_a_key_may_be_given_while_one_talks(browser: Browser) -> None:
    with serve(free_settings(api_keys=f"somebody:{KEY}")) as server:
        async with opened(browser, server.url, troubles=REFUSED) as page:
            await page.get_by_role("button", name="Start talking").click()
            await page.get_by_text("The server wants a key.").wait_for()
            await give(page, KEY)
            await page.get_by_text("Listening.", exact=True).wait_for()
            await page.get_by_role("button", name="Stop").click()
            await page.get_by_text("Done.").wait_for()


async def test_a_server_that_wants_none_asks_for_none(browser: Browser, shell: Server) -> None:
    async with opened(browser, shell.url) as page:
        await page.locator("#model option").first.wait_for(state="attached")
        assert not await page.locator("#key-form").is_visible()
