"""Take the pictures of the page: python -m scripts.take_page_pictures URL, of a running server.

Needs Debian's chromium, whose microphone says test.wav; a server with ASR_MODEL=pocketsphinx understands it.
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
LATE: Final = "river until"  # words near the end, when there is much to see
PICTURES: Final[dict[str, dict[str, Any]]] = {
    "page.png": {"viewport": {"width": 960, "height": 520}, "color_scheme": "light"},
    "page-dark.png": {"viewport": {"width": 960, "height": 520}, "color_scheme": "dark"},
    "page-360.png": {"viewport": {"width": 360, "height": 640}, "color_scheme": "light"},
}


def talking(browser: Browser, url: str, picture: Path, **context: Any) -> None:
    """Somebody talks."""
    page = browser.new_context(**context).new_page()
    page.goto(url)
    page.evaluate("echo.checked = noise.checked = false")  # the sound as it is, to be recognised alike
    page.click("#record")
    page.locator(".segment", has_text=LATE).wait_for()
    page.screenshot(path=picture)


def main(url: str) -> None:
    with sync_playwright() as playwright:
        for name, context in PICTURES.items():
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
            talking(browser, url, ROOT / "docs" / name, **context)
            browser.close()


if __name__ == "__main__":
    main(sys.argv[1])
