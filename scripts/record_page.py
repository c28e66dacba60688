"""Record the page while it transcribes, as docs/page.webp: python -m scripts.record_page URL.

Needs flite, ffmpeg with libwebp, Debian's chromium, whose microphone plays what flite says, and a server with
ASR_MODEL=whisper-base, on a machine that has nothing else to do.
"""

import base64
import shutil
import subprocess
import sys
import time
import wave
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from playwright.sync_api import Page, sync_playwright

from scripts.take_page_pictures import FLAGS, ROOT

TARGET: Final = ROOT / "docs" / "page.webp"
MAX_BYTES: Final = 600_000
VOICE: Final = "slt"
SPOKEN: Final = (
    "Welcome to the speech server. Your words appear as you speak.",
    "Grey words may still change, and black words are stable.",
    "Every sentence can be played, edited and searched.",
)
LEAD_SECONDS: Final = 1.5  # of silence before each sentence
SECONDS: Final = 20.0
FRAMES_PER_SECOND: Final = 8
CONTEXT: Final[dict[str, Any]] = {"viewport": {"width": 760, "height": 600}, "color_scheme": "light"}


def write_speech(path: Path) -> None:
    """Write the sentences with pauses as a wav file at 16 kHz."""
    with wave.open(str(path), "wb") as speech:
        speech.setparams((1, 2, 16_000, 0, "NONE", ""))
        for text in SPOKEN:
            part = path.with_name("part.wav")
            subprocess.run(["flite", "-voice", VOICE, "-t", text, "-o", str(part)], check=True)
            speech.writeframes(bytes(2 * round(LEAD_SECONDS * 16_000)))
            with wave.open(str(part)) as spoken:
                speech.writeframes(spoken.readframes(spoken.getnframes()))


def film(page: Page, seconds: float) -> list[tuple[float, bytes]]:
    """Click on the button, and return what is shown in the following seconds: times in seconds, and PNGs."""
    frames: list[tuple[float, bytes]] = []
    devtools = page.context.new_cdp_session(page)

    def take(frame: dict[str, Any]) -> None:
        frames.append((frame["metadata"]["timestamp"], base64.b64decode(frame["data"])))
        devtools.send("Page.screencastFrameAck", {"sessionId": frame["sessionId"]})

    devtools.on("Page.screencastFrame", take)
    devtools.send("Page.startScreencast", {"format": "png"})
    page.wait_for_timeout(500)
    page.click("#record")
    page.wait_for_timeout(seconds * 1000)
    devtools.remove_listener("Page.screencastFrame", take)
    devtools.send("Page.stopScreencast")
    return frames


def encode(frames: list[tuple[float, bytes]], seconds: float, target: Path, folder: Path) -> None:
    """Write an animated WebP that repeats; of each interval the latest frame counts.

    Without loss it is smaller than with loss: most of the picture is plain and does not change.
    """
    start, newest = frames[0][0], 0
    for number in range(round(seconds * FRAMES_PER_SECOND)):
        while newest + 1 < len(frames) and frames[newest + 1][0] - start <= number / FRAMES_PER_SECOND:
            newest += 1
        (folder / f"{number:04}.png").write_bytes(frames[newest][1])
    pictures = ["-framerate", str(FRAMES_PER_SECOND), "-i", str(folder / "%04d.png")]
    encoder = ["-c:v", "libwebp_anim", "-lossless", "1", "-compression_level", "5", "-loop", "0"]
    subprocess.run(["ffmpeg", "-y", "-loglevel", "error", *pictures, *encoder, str(target)], check=True)


def main(url: str) -> None:
    """Record, encode, and refuse a picture that is too large for a README."""
    with sync_playwright() as playwright, TemporaryDirectory() as name:
        folder = Path(name)
        speech = folder / "speech.wav"
        write_speech(speech)
        # The last flag of a name counts.
        flags = [*FLAGS, f"--use-file-for-fake-audio-capture={speech}%noloop"]
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=flags)
        page = browser.new_context(**CONTEXT).new_page()
        page.goto(url)
        page.locator("#recognizer").get_by_text("Recognizer:").wait_for()
        page.evaluate("echo.checked = noise.checked = false")
        began = time.monotonic()
        frames = film(page, SECONDS - 0.5)
        browser.close()
        print(f"{len(frames)} frames in {time.monotonic() - began:.1f} s")
        encode(frames, SECONDS, TARGET, folder)
    size = TARGET.stat().st_size
    print(f"{TARGET}: {size} bytes")
    if size > MAX_BYTES:
        sys.exit(f"It has more than {MAX_BYTES} bytes.")


if __name__ == "__main__":
    main(sys.argv[1])
