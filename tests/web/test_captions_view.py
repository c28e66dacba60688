"""The captions-only view shows the latest words of a recording in another window."""

from contextlib import AsyncExitStack

from playwright.async_api import Playwright

from tests.server.server_process import Program
from tests.web.browser import WAV, launch_chromium, microphone_flags, open_page, wait_for_state
from tests.web.test_live_recording import start, stop


async def test_captions_follow_the_recording(chromium: Playwright, speech: Program) -> None:
    async with AsyncExitStack() as stack:
        browser = await stack.enter_async_context(launch_chromium(chromium, *microphone_flags(WAV)))
        page = await stack.enter_async_context(open_page(browser, speech.url))
        await start(page)
        async with page.expect_popup() as popup:
            await page.get_by_role("link", name="Captions only").click()
        captions = await popup.value
        assert "/captions?session=" in captions.url
        await wait_for_state(
            captions,
            "() => document.querySelector('#lines').innerText.replace(/\\s+/g, ' ').includes('the city')",
        )
        assert len((await captions.locator("#lines").inner_text()).splitlines()) <= 2
        assert (
            await captions.evaluate("getComputedStyle(document.body).backgroundColor") == "rgba(0, 0, 0, 0)"
        )
        other = await page.context.new_page()
        await other.goto(f"{speech.url}/captions?session=another")
        await other.get_by_text("Waiting for the recording").wait_for()
        await page.bring_to_front()
        await stop(page)
