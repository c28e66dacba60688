"""Another browser follows a recording under the link that the page copies."""

from contextlib import AsyncExitStack

from playwright.async_api import Browser, Page, Playwright, Route

from tests.server.live_server import Server
from tests.server.server_process import Program
from tests.web.browser import WAV, launch_chromium, microphone_flags, open_page
from tests.web.test_appearance import violations
from tests.web.test_live_recording import start, stop

PERMISSIONS = ["microphone", "clipboard-read", "clipboard-write"]


async def shared_link(page: Page, server: Program) -> str:
    """Press the button that shares the recording, and return the link of the server's answer."""
    async with page.expect_response("**/share") as answer:
        await page.get_by_role("button", name="Share").click()
    return server.url + str((await (await answer.value).json())["link"])


async def until_said(view: Page, words: str) -> None:
    await view.wait_for_function(
        "words => document.querySelector('#lines').innerText.replace(/\\s+/g, ' ').includes(words)", arg=words
    )


async def test_another_browser_follows_until_the_end(
    chromium: Playwright, browser: Browser, speech: Program
) -> None:
    async with AsyncExitStack() as stack:
        recorder = await stack.enter_async_context(launch_chromium(chromium, *microphone_flags(WAV)))
        page = await stack.enter_async_context(open_page(recorder, speech.url, permissions=PERMISSIONS))
        await start(page)
        link = await shared_link(page, speech)
        await page.wait_for_function(
            "async link => (await navigator.clipboard.readText()) === link", arg=link
        )
        view = await stack.enter_async_context(open_page(browser, link))
        await until_said(view, "the sun went")
        assert len((await view.locator("#lines").inner_text()).splitlines()) <= 2
        assert await view.locator("#hint").is_hidden()
        assert await view.evaluate("getComputedStyle(document.body).backgroundColor") == "rgba(0, 0, 0, 0)"
        assert await violations(view) == []
        late = await stack.enter_async_context(open_page(browser, link.replace("#", "?lines=6#")))
        await until_said(late, "the sun went")
        await stop(page)
        for each in (view, late):
            await each.get_by_text("The recording has ended.").wait_for()
        assert await violations(view) == []


async def test_view_connects_again(chromium: Playwright, browser: Browser, speech: Program) -> None:
    async with AsyncExitStack() as stack:
        recorder = await stack.enter_async_context(launch_chromium(chromium, *microphone_flags(WAV)))
        page = await stack.enter_async_context(open_page(recorder, speech.url, permissions=PERMISSIONS))
        await start(page)
        link = await shared_link(page, speech)
        view = await stack.enter_async_context(
            open_page(browser, f"{speech.url}/captions", allowed_errors="Failed to load|ERR_FAILED")
        )
        tries = 0

        async def fail_at_first(route: Route) -> None:
            nonlocal tries
            tries += 1
            assert "token" not in route.request.url
            await (route.abort() if tries == 1 else route.continue_())

        await view.route("**/v1/shared/**", fail_at_first)
        await view.goto(link)
        await until_said(view, "the sun went")
        assert tries >= 2
        await stop(page)


async def test_view_says_that_a_link_is_not_valid(browser: Browser, speech: Program) -> None:
    link = f"{speech.url}/captions#session=5f1c&token=share_x"
    async with open_page(browser, link, allowed_errors="Failed to load", locale="de-DE") as view:
        await view.get_by_text("Dieser Link ist ungültig oder abgelaufen.").wait_for()


async def test_recording_has_no_link_where_the_server_shares_none(browser: Browser, shell: Server) -> None:
    async with open_page(browser, shell.url) as page:
        await start(page)
        await page.get_by_text("Listening.", exact=True).wait_for()
        assert await page.locator("#captions-link").is_visible()
        assert await page.locator("#share").is_hidden()
        await page.get_by_role("button", name="Stop").click()
        await page.get_by_text("Done.").wait_for()
