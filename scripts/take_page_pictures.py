"""Take the screenshots in docs/ from a running server: python -m scripts.take_page_pictures URL.

Needs Debian's chromium, whose microphone plays test.wav, and a server with ASR_MODEL=pocketsphinx.
"""

import shutil
import sys
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import Browser, sync_playwright

ROOT: Final = Path(__file__).resolve().parent.parent
FLAGS: Final = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"),
    f"--use-file-for-fake-audio-capture={ROOT / 'test.wav'}%noloop",
)
LATE_WORDS: Final = "river until"  # near the end of test.wav
PICTURES: Final[dict[str, dict[str, Any]]] = {
    "page.png": {"viewport": {"width": 960, "height": 520}, "color_scheme": "light"},
    "page-dark.png": {"viewport": {"width": 960, "height": 520}, "color_scheme": "dark"},
    "page-360.png": {"viewport": {"width": 360, "height": 640}, "color_scheme": "light"},
}


def take_picture(browser: Browser, url: str, picture: Path, **context: Any) -> None:
    """Record on the page, and take a screenshot near the end."""
    page = browser.new_context(**context).new_page()
    page.goto(url)
    page.evaluate("echo.checked = noise.checked = false")  # unprocessed audio is recognized reliably
    page.click("#record")
    page.locator(".segment", has_text=LATE_WORDS).wait_for()
    page.screenshot(path=picture)


def main(url: str) -> None:
    """Take each screenshot with a new browser."""
    with sync_playwright() as playwright:
        for name, context in PICTURES.items():
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
            take_picture(browser, url, ROOT / "docs" / name, **context)
            browser.close()


if __name__ == "__main__":
    main(sys.argv[1])
