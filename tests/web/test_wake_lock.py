"""The screen stays on while the page records."""

from playwright.async_api import Playwright

from tests.server.live_server import Server
from tests.web.browser import MICROPHONE_ALLOWED, launch_chromium, open_page, wait_for_state

LOCKS = """
window.locks = [];
const plain = navigator.wakeLock.request.bind(navigator.wakeLock);
navigator.wakeLock.request = async (type) => {
  const lock = await plain(type);
  locks.push(lock);
  return lock;
};
"""


async def test_screen_stays_on_while_recording(chromium: Playwright, shell: Server) -> None:
    async with (
        launch_chromium(chromium, *MICROPHONE_ALLOWED, complete=True) as browser,
        open_page(browser, shell.url, script=LOCKS) as page,
    ):
        await page.get_by_role("button", name="Start recording").click()
        await wait_for_state(page, "() => locks.length === 1 && !locks[0].released")
        await page.get_by_role("button", name="Pause").click()
        await wait_for_state(page, "() => locks[0].released")
        await page.get_by_role("button", name="Resume").click()
        await wait_for_state(page, "() => locks.length === 2 && !locks[1].released")
        await page.get_by_role("button", name="Stop").click()
        await wait_for_state(page, "() => locks[1].released")
