"""The page opens, with its library, while the server is away."""

from playwright.async_api import Browser

from tests.server.server_process import kill, scripted
from tests.web.browser import SENTENCES, WAV, open_page, transcribe_file, wait_for_segments, wait_for_state


async def test_page_and_library_open_without_the_server(browser: Browser) -> None:
    with scripted() as server:
        assert server.ready()["ready"], server.log
        async with open_page(
            browser, server.url, allowed_errors="Failed to load", service_workers="allow"
        ) as page:
            await transcribe_file(page, WAV)
            await page.evaluate("navigator.serviceWorker.ready.then(() => true)")
            await wait_for_state(page, "() => navigator.serviceWorker.controller")
            kill(server.process.pid)
            await page.reload()
            await page.get_by_text("The server cannot be reached. Trying again…").wait_for()
            await page.locator("#library > summary").click()
            await page.locator("#library-list .open").click()
            await wait_for_segments(page, *SENTENCES)
            await page.get_by_role("button", name="SRT", exact=True).click()
            await page.get_by_role("alert").get_by_text("The server makes this file").wait_for()
            async with page.expect_download():
                await page.get_by_role("button", name="JSON").click()
            assert not await page.get_by_role("alert").is_visible()
