"""Another browser follows a recording under the link that the page copies."""

from contextlib import AsyncExitStack

from playwright.async_api import Browser, Dialog, Page, Playwright, Route

from tests.server.live_server import Server
from tests.server.server_process import Program
from tests.waiting import until
from tests.web.browser import WAV, launch_chromium, microphone_flags, open_page, wait_for_state
from tests.web.test_appearance import violations
from tests.web.test_live_recording import start, stop

PERMISSIONS = ["microphone", "clipboard-read", "clipboard-write"]


async def shared_link(page: Page, server: Program) -> str:
    """Press the button that shares the recording, and return the link of the server's answer."""
    async with page.expect_response("**/share") as answer:
        await page.get_by_role("button", name="Share").click()
    return server.url + str((await (await answer.value).json())["link"])


async def until_said(view: Page, words: str) -> None:
    await wait_for_state(
        view,
        "words => document.querySelector('#lines').innerText.replace(/\\s+/g, ' ').includes(words)",
        words,
    )


async def test_another_browser_follows_until_the_end(
    chromium: Playwright, browser: Browser, speech: Program
) -> None:
    async with AsyncExitStack() as stack:
        recorder = await stack.enter_async_context(launch_chromium(chromium, *microphone_flags(WAV)))
        page = await stack.enter_async_context(open_page(recorder, speech.url, permissions=PERMISSIONS))
        await start(page)
        link = await shared_link(page, speech)
        await wait_for_state(page, "async link => (await navigator.clipboard.readText()) === link", link)
        view = await stack.enter_async_context(open_page(browser, link))
        await until_said(view, "over the city")
        assert len((await view.locator("#lines").inner_text()).splitlines()) <= 2
        assert await view.locator("#hint").is_hidden()
        assert await view.evaluate("getComputedStyle(document.body).backgroundColor") == "rgba(0, 0, 0, 0)"
        assert await violations(view) == []
        late = await stack.enter_async_context(open_page(browser, link.replace("#", "?lines=6#")))
        await until_said(late, "over the city")
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
        await until_said(view, "over the city")
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


async def test_one_link_is_withdrawn(chromium: Playwright, browser: Browser, speech: Program) -> None:
    async with AsyncExitStack() as stack:
        recorder = await stack.enter_async_context(launch_chromium(chromium, *microphone_flags(WAV)))
        page = await stack.enter_async_context(open_page(recorder, speech.url, permissions=PERMISSIONS))
        await start(page)
        first, second = [await shared_link(page, speech) for _ in range(2)]
        assert first != second
        views = [
            await stack.enter_async_context(open_page(browser, link, allowed_errors="Failed to load"))
            for link in (first, second)
        ]
        for view in views:
            await (
                view.locator("#hint:not([hidden])")
                .get_by_text("Waiting for speech.")
                .or_(view.locator("#lines span").first)
                .first.wait_for()
            )
        await page.get_by_role("button", name="Withdraw: Link 1,").click()
        await views[0].get_by_text("This link is not valid or has expired.").wait_for()
        assert await page.locator("#share-links li").count() == 1
        await until_said(views[1], "over the city")
        await stop(page)


async def test_link_is_copied_without_a_clipboard(browser: Browser, speech: Program) -> None:
    without = "Object.defineProperty(navigator, 'clipboard', { value: undefined });"
    async with open_page(browser, speech.url, script=without) as page:
        await start(page)
        link = await shared_link(page, speech)
        await page.locator("#announcer", has_text="Copied.").wait_for()
        await page.get_by_role("button", name="Stop").click()
        await page.get_by_text("Done.").wait_for()
        await page.locator("#search").focus()
        await page.keyboard.press("Control+v")
        assert await page.locator("#search").input_value() == link


async def test_link_is_shown_where_copying_is_refused(browser: Browser, speech: Program) -> None:
    refusing = "navigator.clipboard.writeText = () => Promise.reject(new Error('not allowed'));"
    async with open_page(browser, speech.url, script=refusing) as page:
        await start(page)
        shown: list[str] = []

        async def note(dialog: Dialog) -> None:
            shown.append(dialog.default_value)
            await dialog.accept()

        page.on("dialog", note)
        link = await shared_link(page, speech)
        await page.get_by_role("button", name="Withdraw: Link 1,").wait_for()
        await until(lambda: shown == [link])
        await page.get_by_role("button", name="Stop").click()
        await page.get_by_text("Done.").wait_for()
