"""The page is accessible, fits narrow screens and obeys its Content-Security-Policy."""

from collections.abc import AsyncIterator
from typing import Any, Final, Literal

import pytest
from playwright.async_api import Browser, Page, ViewportSize

from tests.server.live_server import ROOT, Server
from tests.server.server_process import Program
from tests.web.browser import SENTENCES, WAV, choose_file, open_page, transcribe_file, wait_for_segments

AXE: Final = ROOT / "scripts" / "web" / "node_modules" / "axe-core" / "axe.min.js"
NARROW: Final[ViewportSize] = {"width": 360, "height": 640}
WIDE: Final[ViewportSize] = {"width": 1280, "height": 800}
SCHEMES: Final[tuple[Literal["light", "dark"], ...]] = ("light", "dark")


async def violations(page: Page) -> list[str]:
    """Return the accessibility rules of axe-core that the page violates."""
    if not AXE.exists():
        pytest.skip("no axe-core: npm ci --prefix scripts/web")
    if not await page.evaluate("'axe' in window"):
        await page.evaluate(AXE.read_text())
    found: list[dict[str, Any]] = await page.evaluate(
        "axe.run({ rules: { 'target-size': { enabled: true } } }).then(({ violations }) => violations)"
    )
    return [f"{each['id']}: {[node['html'] for node in each['nodes']]}" for each in found]


async def appearances(page: Page) -> AsyncIterator[str]:
    """Show the page in each size and each colour scheme, and yield a name of them."""
    for size in (NARROW, WIDE):
        await page.set_viewport_size(size)
        for scheme in SCHEMES:
            await page.emulate_media(color_scheme=scheme)
            yield f"{size['width']} {scheme}"


async def assert_accessible(page: Page) -> None:
    """Check the page as it is now, in each size and each colour scheme."""
    async for appearance in appearances(page):
        assert await violations(page) == [], appearance


async def test_page_has_no_accessibility_violations(browser: Browser, speech: Program) -> None:
    async with open_page(browser, speech.url) as page:
        await assert_accessible(page)
        await choose_file(page, WAV)
        await assert_accessible(page)
        await page.get_by_role("button", name="Transcribe").click()
        await wait_for_segments(page, *SENTENCES)
        await page.get_by_role("searchbox").fill("the")
        await page.locator(".segment .text").first.dblclick()
        await assert_accessible(page)
        await page.keyboard.press("Escape")
        await page.get_by_role("button", name="Close").click()
        await page.evaluate("document.querySelector('#key-form').hidden = false")
        await assert_accessible(page)
        page.on("dialog", lambda dialog: dialog.accept())
        await page.get_by_role("button", name="Start recording").click()
        await page.get_by_role("button", name="Stop").wait_for()
        await assert_accessible(page)


async def test_page_fits_in_360_pixels(browser: Browser, speech: Program) -> None:
    async with open_page(browser, speech.url, viewport=NARROW) as page:
        await transcribe_file(page, WAV)
        assert await page.evaluate("document.documentElement.scrollWidth") == NARROW["width"]


async def test_page_is_usable_by_keyboard(browser: Browser, shell: Server) -> None:
    async with open_page(browser, shell.url) as page:
        # A list with one option loses the focus when it is disabled.
        await page.locator("#model option").wait_for(state="attached")
        reached = []
        for _ in range(8):
            await page.keyboard.press("Tab")
            reached.append(await page.evaluate("document.activeElement.id || document.activeElement.tagName"))
        reached = [
            each for each in reached if each not in ("language", "model")
        ]  # disabled if there is one option
        assert reached[:6] == ["A", "shortcuts-open", "record", "keep", "SUMMARY", "choose"]
        await page.get_by_role("button", name="Start recording").focus()
        await page.keyboard.press("Enter")
        await page.get_by_role("button", name="Stop").wait_for()
        await page.keyboard.press("Space")
        await page.get_by_text("Done.").wait_for()


@pytest.mark.parametrize("motion", ["reduce", "no-preference"])
async def test_reduced_motion_has_no_animations(browser: Browser, shell: Server, motion: str) -> None:
    async with open_page(browser, shell.url, reduced_motion=motion) as page:
        await page.get_by_role("button", name="Start recording").click()
        await page.get_by_role("button", name="Stop").wait_for()
        assert bool(await page.evaluate("document.getAnimations().length")) == (motion == "no-preference")
        await page.get_by_role("button", name="Stop").click()


async def test_all_requests_go_to_the_server(browser: Browser, speech: Program) -> None:
    async with open_page(browser, speech.url) as page:
        urls: list[str] = []
        page.on("request", lambda request: urls.append(request.url))
        await page.reload()
        await transcribe_file(page, WAV)
        assert {url for url in urls if not url.startswith((speech.url, f"blob:{speech.url}"))} == set()


async def test_policy_blocks_inline_scripts(browser: Browser, shell: Server) -> None:
    async with open_page(browser, shell.url, allowed_errors="Content Security Policy") as page:
        await page.evaluate(
            """() => {
                const script = document.createElement("script");
                script.textContent = "window.injected = true";
                document.body.append(script);
            }"""
        )
        assert await page.evaluate("window.injected") is None
