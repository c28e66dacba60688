"""The page offers the languages and models of the server."""

from playwright.async_api import Browser

from tests.server.live_server import free_settings, serve
from tests.server.server_process import Program
from tests.web.browser import open_page


async def test_select_with_one_option_is_disabled(browser: Browser, speech: Program) -> None:
    async with open_page(browser, speech.url) as page:
        await page.locator("#model option").wait_for(state="attached")
        assert await page.locator("#model").inner_text() == "scripted"
        assert await page.locator("#language").inner_text() == "English"
        assert await page.locator("#language").is_disabled()


async def test_selected_model_and_language_are_sent(browser: Browser) -> None:
    with serve(free_settings(asr_models="other=free")) as server:
        async with open_page(browser, server.url) as page:
            urls: list[str] = []
            page.on("websocket", lambda socket: urls.append(socket.url))
            await page.get_by_label("Model").select_option("other")
            await page.get_by_label("Language").select_option(label="German")
            await page.get_by_role("button", name="Start recording").click()
            await page.get_by_role("button", name="Stop").click()
            await page.get_by_text("Done.").wait_for()
            assert "model=other" in urls[0]
            assert "language=de" in urls[0]
