"""A microphone that is not allowed is explained in words."""

from playwright.async_api import Browser, Playwright

from tests.server.running import Server
from tests.web.browser import FAKE, launched, opened

# As on a page that came over plain HTTP from another machine.
INSECURE = "Object.defineProperty(navigator, 'mediaDevices', { value: undefined });"
NOT_FOUND = """
navigator.mediaDevices.getUserMedia = async () => { throw new DOMException("none", "NotFoundError"); };
"""


async def test_a_refusal_is_explained(chromium: Playwright, shell: Server) -> None:
    async with (
        launched(chromium, *FAKE, "--deny-permission-prompts") as browser,
        opened(browser, shell.url) as page,
    ):
        await page.get_by_role("button", name="Start talking").click()
        said = page.get_by_role("alert")
        await said.get_by_text("The microphone was refused.").wait_for()
        text = await said.inner_text()
        assert "SSL_CERTFILE" in text
        assert "SSL_KEYFILE" in text
        assert await page.get_by_role("button", name="Start talking").is_enabled()


async def test_a_page_without_tls_names_the_settings_that_turn_it_on(browser: Browser, shell: Server) -> None:
    async with opened(browser, shell.url, script=INSECURE) as page:
        await page.get_by_role("button", name="Start talking").click()
        text = await page.get_by_role("alert").inner_text()
        assert "localhost or over TLS" in text
        assert "SSL_CERTFILE" in text


async def test_a_machine_without_one_is_told_so(browser: Browser, shell: Server) -> None:
    async with opened(browser, shell.url, script=NOT_FOUND) as page:
        await page.get_by_role("button", name="Start talking").click()
        await page.get_by_role("alert").get_by_text("There is no microphone.").wait_for()


async def test_the_devices_can_be_chosen(browser: Browser, shell: Server) -> None:
    async with opened(browser, shell.url, permissions=["microphone"]) as page:
        await page.get_by_text("Microphone", exact=True).click()
        options = page.locator("#device option")
        await options.nth(1).wait_for(state="attached")
        await page.get_by_label("Device").select_option(index=1)
        await page.get_by_label("Noise suppression").uncheck()
        await page.get_by_role("button", name="Start talking").click()
        await page.get_by_role("button", name="Stop").click()
        await page.get_by_text("Done. All words are below.").wait_for()
