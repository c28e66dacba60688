"""Languages and models are those of the server."""

from playwright.async_api import Browser

from tests.server.program import Program
from tests.server.running import free_settings, serve
from tests.web.browser import opened


async def test_there_is_nothing_to_choose_where_there_is_one(browser: Browser, speech: Program) -> None:
    async with opened(browser, speech.url) as page:
        await page.locator("#model option").wait_for(state="attached")
        assert await page.locator("#model").inner_text() == "pocketsphinx"
        assert await page.locator("#language").inner_text() == "English"
        assert await page.locator("#language").is_disabled()


async def test_a_model_and_a_language_that_are_chosen_are_used(browser: Browser) -> None:
    with serve(free_settings(asr_models="other=free")) as server:
        async with opened(browser, server.url) as page:
            asked: list[str] = []
            page.on("websocket", lambda socket: asked.append(socket.url))
            await page.get_by_label("Model").select_option("other")
            await page.get_by_label("Language").select_option(label="German")
            await page.get_by_role("button", name="Start talking").click()
            await page.get_by_role("button", name="Stop").click()
            await page.get_by_text("Done.").wait_for()
            assert "model=other" in asked[0]
            assert "language=de" in asked[0]
