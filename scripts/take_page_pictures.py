"""Take the screenshots in docs/ from a running server: python -m scripts.take_page_pictures URL.

Needs flite, Debian's chromium, whose microphone plays test.wav, and a server that keeps jobs, distinguishes
speakers, and has ASR_MODEL=whisper-tiny.en or another recognizer that hears the last words of test.wav.
"""

import shutil
import subprocess
import sys
import wave
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from playwright.sync_api import Browser, Page, sync_playwright

ROOT: Final = Path(__file__).resolve().parent.parent
FLAGS: Final = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"),
    f"--use-file-for-fake-audio-capture={ROOT / 'test.wav'}%noloop",
)
LATE_WORDS: Final = "river until"  # near the end of test.wav
RECORDINGS: Final[dict[str, dict[str, Any]]] = {
    "page.png": {"viewport": {"width": 960, "height": 520}, "color_scheme": "light"},
    "page-dark.png": {"viewport": {"width": 960, "height": 520}, "color_scheme": "dark"},
    "page-360.png": {"viewport": {"width": 360, "height": 640}, "color_scheme": "light"},
}
SPEAKERS: Final = "page-speakers.png"
SPOKEN: Final = (
    ("rms", "Good morning, I would like to book a table for four people on Friday evening."),
    ("slt", "Certainly, at what time would you like to come, and is it a special occasion?"),
    ("rms", "At half past seven, please. It is the birthday of my sister."),
    ("slt", "Then I will keep the table next to the garden window for you."),
)
NAMES: Final = ("Miller", "Garden Restaurant")
PAUSE_SECONDS: Final = 0.4


def take_recording(browser: Browser, url: str, picture: Path, **context: Any) -> None:
    """Record on the page, and take a screenshot near the end."""
    page = open_page(browser, url, **context)
    page.evaluate("echo.checked = noise.checked = false")  # unprocessed audio is recognized reliably
    page.click("#record")
    page.locator(".segment", has_text=LATE_WORDS).wait_for()
    page.screenshot(path=picture)


def take_speakers(browser: Browser, url: str, picture: Path, file: Path) -> None:
    """Transcribe a dialogue, name its speakers, and take a screenshot of the transcript."""
    page = open_page(browser, url, viewport={"width": 960, "height": 520}, color_scheme="light")
    page.click("#recognition-options > summary")
    page.check("#diarize")
    page.set_input_files("#file", file)
    page.click("#transcribe:enabled")
    for number, name in enumerate(NAMES):
        page.locator(".segment .speaker", has_text=f"Speaker {'AB'[number]}").first.click(timeout=120_000)
        page.keyboard.insert_text(name)
        page.keyboard.press("Enter")
    page.click("#file-close")
    page.evaluate("document.activeElement.blur()")
    page.evaluate("document.querySelector('#transcript').scrollIntoView()")
    page.screenshot(path=picture)


def open_page(browser: Browser, url: str, **context: Any) -> Page:
    """Open the page with an empty library."""
    page = browser.new_context(**context).new_page()
    page.goto(url)
    return page


def write_dialogue(path: Path) -> None:
    """Write a dialogue of two voices as a wav file at 16 kHz."""
    with wave.open(str(path), "wb") as dialogue:
        dialogue.setnchannels(1)
        dialogue.setsampwidth(2)
        dialogue.setframerate(16_000)
        for number, (voice, text) in enumerate(SPOKEN):
            part = path.with_name(f"{number}.wav")
            subprocess.run(["flite", "-voice", voice, "-t", text, "-o", str(part)], check=True)
            with wave.open(str(part)) as spoken:
                dialogue.writeframes(spoken.readframes(spoken.getnframes()))
            dialogue.writeframes(bytes(2 * round(PAUSE_SECONDS * 16_000)))


def main(url: str) -> None:
    """Take each screenshot with a new browser."""
    with sync_playwright() as playwright, TemporaryDirectory() as folder:
        chromium = playwright.chromium
        for name, context in RECORDINGS.items():
            browser = chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
            take_recording(browser, url, ROOT / "docs" / name, **context)
            browser.close()
        dialogue = Path(folder, "booking.wav")
        write_dialogue(dialogue)
        browser = chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        take_speakers(browser, url, ROOT / "docs" / SPEAKERS, dialogue)
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1])
