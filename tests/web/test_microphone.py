"""The page explains why the microphone cannot be used."""

from playwright.async_api import Browser, Playwright

from tests.server.live_server import Server
from tests.web.browser import FAKE_MICROPHONE, launch_chromium, open_page

# As on a page that was loaded over HTTP from another machine.
INSECURE = "Object.defineProperty(navigator, 'mediaDevices', { value: undefined });"
NOT_FOUND = """
navigator.mediaDevices.getUserMedia = async () => { throw new DOMException("none", "NotFoundError"); };
"""


async def test_denied_permission_is_explained(chromium: Playwright, shell: Server) -> None:
    async with (
        launch_chromium(chromium, *FAKE_MICROPHONE, "--deny-permission-prompts", complete=True) as browser,
        open_page(browser, shell.url) as page,
    ):
        await page.get_by_role("button", name="Start recording").click()
        alert = page.get_by_role("alert")
        await alert.get_by_text("Microphone access was denied.").wait_for()
        text = await alert.inner_text()
        assert "SSL_CERTFILE" in text
        assert "SSL_KEYFILE" in text
        assert await page.get_by_role("button", name="Start recording").is_enabled()


async def test_page_over_http_names_the_tls_settings(browser: Browser, shell: Server) -> None:
    async with open_page(browser, shell.url, script=INSECURE) as page:
        await page.get_by_role("button", name="Start recording").click()
        text = await page.get_by_role("alert").inner_text()
        assert "localhost or over HTTPS" in text
        assert "SSL_CERTFILE" in text


async def test_missing_microphone_is_explained(browser: Browser, shell: Server) -> None:
    async with open_page(browser, shell.url, script=NOT_FOUND) as page:
        await page.get_by_role("button", name="Start recording").click()
        await page.get_by_role("alert").get_by_text("No microphone was found.").wait_for()


async def test_device_can_be_selected(browser: Browser, shell: Server) -> None:
    async with open_page(browser, shell.url, permissions=["microphone"]) as page:
        await page.get_by_text("Microphone and sound").click()
        options = page.locator("#device option")
        await options.nth(1).wait_for(state="attached")
        await page.get_by_label("Device").select_option(index=1)
        await page.get_by_label("Noise suppression").uncheck()
        await page.get_by_role("button", name="Start recording").click()
        await page.get_by_role("button", name="Stop").click()
        await page.get_by_text("Done.").wait_for()
