"""Helpers that open the page in Chromium, use it, and read what it shows."""

import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from playwright.async_api import Browser, ConsoleMessage, Page, Playwright, TimeoutError

from tests.server.live_server import ROOT

CHROMIUM: Final = shutil.which("chromium")
# The same engine without a user interface takes a fifth less processor time. It has no permission prompts and
# no wake locks.
HEADLESS_SHELL: Final = shutil.which("chromium-headless-shell")
TIMEOUT_MS: Final = 60_000  # long enough for a busy machine
BASE_FLAGS: Final = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--autoplay-policy=no-user-gesture-required"),
)
FAKE_MICROPHONE: Final = ("--use-fake-device-for-media-stream",)
MICROPHONE_ALLOWED: Final = (*FAKE_MICROPHONE, "--use-fake-ui-for-media-stream")
CHEAP: Final = {"service_workers": "block", "reduced_motion": "reduce"}
POLLING_MS: Final = 50  # by default Playwright looks in each frame, and causes frames by that
WAV: Final = ROOT / "test.wav"
MAX_WORD_ERROR_RATE: Final = (
    0.25  # word error rate of PocketSphinx; here it makes no error, or one in 27 words
)
SENTENCES: Final = (ROOT / "test.txt").read_text().split("\n")[:3]


def microphone_flags(wav: Path) -> tuple[str, ...]:
    """Return flags for a microphone that plays a wav file once."""
    return (*MICROPHONE_ALLOWED, f"--use-file-for-fake-audio-capture={wav}%noloop")


@asynccontextmanager
async def launch_chromium(
    playwright: Playwright, *flags: str, complete: bool = False
) -> AsyncIterator[Browser]:
    """Run a browser until the context ends.

    complete: whether it needs what the headless shell lacks
    """
    program = CHROMIUM if complete else HEADLESS_SHELL or CHROMIUM
    browser = await playwright.chromium.launch(
        executable_path=program, args=[*BASE_FLAGS, *flags], headless=True
    )
    try:
        yield browser
    finally:
        await browser.close()


@asynccontextmanager
async def open_page(
    browser: Browser, url: str, *, allowed_errors: str = "", script: str = "", **context: Any
) -> AsyncIterator[Page]:
    """Open the page, and fail at the end if it logged an error or threw an exception.

    It has no service worker and draws levels twice a second: both would take a third of the processor time.
    Tests of either pass `service_workers="allow"` or `reduced_motion="no-preference"`.
    allowed_errors: pattern of errors that the console may show; script: JavaScript to run before the page's;
    context: options of the browser context
    """
    errors: list[str] = []

    def on_console(message: ConsoleMessage) -> None:
        if message.type == "error" and not (allowed_errors and re.search(allowed_errors, message.text)):
            errors.append(message.text)

    browser_context = await browser.new_context(**(CHEAP | context))
    browser_context.set_default_timeout(TIMEOUT_MS)
    page = await browser_context.new_page()
    page.on("console", on_console)
    page.on("pageerror", lambda error: errors.append(str(error)))
    if script:
        await page.add_init_script(script)
    try:
        await page.goto(url)
        yield page
    finally:
        await browser_context.close()
    assert not errors, errors


async def wait_for_state(page: Page, expression: str, argument: Any = None) -> None:
    """Wait until a JavaScript expression, or a function of the argument, is true on the page.

    Raises playwright.async_api.TimeoutError.
    """
    await page.wait_for_function(expression, arg=argument, polling=POLLING_MS)


async def segment_texts(page: Page) -> list[str]:
    """Return the texts of the segments that the page shows."""
    return [text.strip() for text in await page.locator(".segment .text").all_inner_texts()]


async def wait_for_segments(page: Page, *texts: str) -> None:
    """Wait until the page shows exactly these segments, besides speech without words yet.

    Fail with those that it shows instead.
    """
    try:
        await wait_for_state(
            page,
            "expected => JSON.stringify([...document.querySelectorAll('.segment:not([data-speech]) .text')]"
            ".map(text => text.innerText.trim())) === JSON.stringify(expected)",
            list(texts),
        )
    except TimeoutError as error:
        raise AssertionError(f"{await segment_texts(page)} instead of {list(texts)}") from error


async def choose_file(page: Page, file: Path) -> None:
    """Select a file and wait until it can be transcribed."""
    await page.set_input_files("#file", file)
    await page.locator("#transcribe:enabled").wait_for()


async def transcribe_file(page: Page, file: Path) -> None:
    """Transcribe a file and wait until its transcript is complete."""
    await choose_file(page, file)
    await page.get_by_role("button", name="Transcribe").click()
    await wait_for_state(page, "() => document.querySelector('#announcer').textContent.includes('complete')")


class Modules:
    """The page's modules in a browser, without the page."""

    def __init__(self, page: Page, folder: str) -> None:
        self._page = page
        self._folder = folder

    async def run(self, name: str, function: str, argument: Any = None) -> Any:
        """Call a JavaScript function with a module, an argument and a function that loads other modules."""
        return await self._page.evaluate(
            f"""async ([folder, name, argument]) => {{
                const load = (name) => import(`${{folder}}${{name}}.js`);
                return ({function})(await load(name), argument, load);
            }}""",
            [self._folder, name, argument],
        )
