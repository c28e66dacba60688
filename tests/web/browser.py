"""Looking at the page: a browser, a page that must not complain, and what stands on it."""

import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from playwright.async_api import Browser, ConsoleMessage, Page, Playwright, TimeoutError

from tests.server.running import ROOT

CHROMIUM: Final = shutil.which("chromium")
PATIENCE_MS: Final = 60_000  # a machine may be busy
QUIET: Final = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--autoplay-policy=no-user-gesture-required"),
)
FAKE: Final = ("--use-fake-device-for-media-stream",)
ALLOWED: Final = (*FAKE, "--use-fake-ui-for-media-stream")
WAV: Final = ROOT / "test.wav"
SENTENCES: Final = (ROOT / "test.txt").read_text().split("\n")[:3]


def speaking(wav: Path) -> tuple[str, ...]:
    """Flags for a microphone that says once what is in a wav."""
    return (*ALLOWED, f"--use-file-for-fake-audio-capture={wav}%noloop")


@asynccontextmanager
async def launched(playwright: Playwright, *flags: str) -> AsyncIterator[Browser]:
    browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=[*QUIET, *flags], headless=True)
    try:
        yield browser
    finally:
        await browser.close()


@asynccontextmanager
async def opened(
    browser: Browser, url: str, *, troubles: str = "", script: str = "", **context: Any
) -> AsyncIterator[Page]:
    """The page, which must neither fail nor complain.

    troubles: what its console may say, as a pattern; script: runs before anything of the page
    """
    complaints: list[str] = []

    def hear(message: ConsoleMessage) -> None:
        if message.type == "error" and not (troubles and re.search(troubles, message.text)):
            complaints.append(message.text)

    visited = await browser.new_context(**context)
    visited.set_default_timeout(PATIENCE_MS)
    page = await visited.new_page()
    page.on("console", hear)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    if script:
        await page.add_init_script(script)
    try:
        await page.goto(url)
        yield page
    finally:
        await visited.close()
    assert not complaints, complaints


async def said(page: Page) -> list[str]:
    """The texts of the segments."""
    return [text.strip() for text in await page.locator(".segment .text").all_inner_texts()]


async def until_said(page: Page, *texts: str) -> None:
    """Waits until the segments are these; fails with what there is instead."""
    try:
        await page.wait_for_function(
            "wanted => JSON.stringify([...document.querySelectorAll('.segment .text')]"
            ".map(text => text.innerText.trim())) === JSON.stringify(wanted)",
            arg=list(texts),
        )
    except TimeoutError as error:
        raise AssertionError(f"{await said(page)} instead of {list(texts)}") from error


async def choose(page: Page, file: Path) -> None:
    await page.set_input_files("#file", file)
    await page.locator("#transcribe:enabled").wait_for()


async def transcribe(page: Page, file: Path) -> None:
    """Until the last of its words is there."""
    await choose(page, file)
    await page.get_by_role("button", name="Transcribe").click()
    await page.wait_for_function(
        "() => document.querySelector('#announcer').textContent.includes('complete')"
    )


class Modules:
    """The page's modules, run in a browser without the page."""

    def __init__(self, page: Page, folder: str) -> None:
        self._page = page
        self._folder = folder

    async def run(self, name: str, function: str, argument: Any = None) -> Any:
        """What a JavaScript function of the module, an argument and a loader of other modules returns."""
        return await self._page.evaluate(
            f"""async ([folder, name, argument]) => {{
                const load = (name) => import(`${{folder}}${{name}}.js`);
                return ({function})(await load(name), argument, load);
            }}""",
            [self._folder, name, argument],
        )
