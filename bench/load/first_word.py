"""Measure how soon after the onset of speech its first word is on the page, in a real browser.

    python -m bench.load.first_word --model whisper-tiny.en --source FOLDER_OR_FILE --utterances 20

The microphone of Chromium plays utterances with pauses between them, and a real server recognizes them. The
onset is found by energy in the audio that the page sends; its time is that at which the page got it. A word
is shown at the end of the frame that has it. Steps on the way: the server reports speech (`heard`), the first
partial arrives (`partial`), it is shown (`shown`).
"""

import argparse
import asyncio
import json
import os
import shutil
import statistics
import sys
import wave
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from playwright.async_api import Page, WebSocket, async_playwright

from bench import ROOT
from bench.accuracy.audio_io import Samples, speech_runs, utterances_from
from bench.load.machine import machine
from bench.load.page import FLAGS
from bench.load.protocol_overhead import free_port, running_server

RATE: Final = 16_000  # Hz, of the microphone's file
LEAD_SECONDS: Final = 4.0  # of silence, in which the page connects
PAUSE_SECONDS: Final = 2.0  # between utterances
MAX_SECONDS: Final = 6.0  # of an utterance
PAUSE_MS: Final = 1_500  # in the audio that the page sends: a shorter pause does not begin an utterance
TARGET_SECONDS: Final = 1.5

# Notes when audio is sent, when messages about an utterance arrive, and when its first word is shown.
PROBE_SCRIPT: Final = """
window.sent = []; window.heard = []; window.partials = []; window.shown = [];
const Plain = WebSocket;
window.WebSocket = class extends Plain {
  constructor(...given) {
    super(...given);
    this.addEventListener("message", ({ data }) => {
      const { type, item_id: id, audio_start_ms: startMs, text } = JSON.parse(data);
      if (type === "input_audio_buffer.speech_started") heard.push([id, performance.now(), startMs]);
      if (type === "transcript.partial" && text) partials.push([id, performance.now()]);
    });
  }
  send(data) {
    if (typeof data !== "string") sent.push([performance.now(), data.length]);
    super.send(data);
  }
};
const seen = new Set();
const look = () => {
  for (const item of document.querySelectorAll(".segment:not([data-speech])")) {
    const { id } = item.dataset;
    if (seen.has(id) || !item.querySelector(".text").textContent.trim()) continue;
    seen.add(id);
    requestAnimationFrame(() => {
      const { port1, port2 } = new MessageChannel();
      port1.onmessage = () => shown.push([id, performance.now()]);
      port2.postMessage(0);
    });
  }
};
const changes = { subtree: true, childList: true, characterData: true, attributes: true };
document.addEventListener("DOMContentLoaded", () =>
  new MutationObserver(look).observe(document.querySelector("#segments"), changes));
"""


@dataclass(frozen=True, slots=True)
class Times:
    """Hold the seconds from the onset of an utterance to each step."""

    heard: float
    partial: float
    shown: float


def write_microphone(path: Path, utterances: Sequence[Samples]) -> float:
    """Write the utterances with pauses as a wav file; return its length in seconds."""
    pause = np.zeros(round(PAUSE_SECONDS * RATE), np.float32)
    pieces = [np.zeros(round(LEAD_SECONDS * RATE), np.float32)]
    for utterance in utterances:
        pieces += [utterance[: round(MAX_SECONDS * RATE)], pause]
    samples = np.concatenate(pieces)
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        file.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
    return len(samples) / RATE


async def record(page: Page, url: str, seconds: float) -> tuple[NDArray[np.int16], dict[str, Any]]:
    """Record on the page. Return the audio that it sent, int16 (n,), and what the probe noted."""
    frames: list[bytes] = []

    def note(payload: str | bytes) -> None:
        if isinstance(payload, bytes):
            frames.append(payload)

    def listen(socket: WebSocket) -> None:
        socket.on("framesent", note)

    page.on("websocket", listen)
    await page.add_init_script(PROBE_SCRIPT)
    await page.goto(url)
    await page.evaluate("echo.checked = noise.checked = false")
    await page.click("#record")
    await page.wait_for_timeout(seconds * 1000)
    await page.click("#record")
    await page.locator("#status-text[data-kind=idle]").wait_for(timeout=120_000)
    noted = await page.evaluate("({ sent, heard, partials, shown })")
    return np.frombuffer(b"".join(frames), "<i2"), noted


def evaluate(audio: NDArray[np.int16], rate: int, noted: dict[str, Any]) -> list[Times]:
    """Return the times of each utterance whose first word was shown.

    rate: of the audio, in Hz. The message that was delayed least tells when the recording began.
    """
    ends = np.cumsum([count for _, count in noted["sent"]]) * 1000 / rate
    began = min(at - end for (at, _), end in zip(noted["sent"], ends, strict=True))
    onsets = [start * 1000 / rate for start, _ in speech_runs(audio.astype(np.float32), rate, PAUSE_MS)]
    partials, shown = dict(reversed(noted["partials"])), dict(noted["shown"])
    found = []
    for onset, following in zip(onsets, [*onsets[1:], float("inf")], strict=True):
        ids = [
            each for each in noted["heard"] if onset - 1000 < each[2] < following - 1000 and each[0] in shown
        ]
        if not ids:
            continue
        id, heard, _ = ids[0]
        at = began + onset
        found.append(Times(*((when - at) / 1000 for when in (heard, partials.get(id, shown[id]), shown[id]))))
    return found


def summary(times: Sequence[Times]) -> dict[str, Any]:
    """Return median and 95th percentile of each step in seconds."""
    if len(times) < 2:
        raise ValueError("fewer than two utterances were shown")
    result: dict[str, Any] = {"utterances": len(times)}
    for name in ("heard", "partial", "shown"):
        values = [getattr(each, name) for each in times]
        result[name] = {
            "median": round(statistics.median(values), 3),
            "p95": round(float(np.percentile(values, 95)), 3),
            "max": round(max(values), 3),
        }
    return result


async def measure(model: str, utterances: Sequence[Samples]) -> dict[str, Any]:
    """Start a server and a browser, and measure."""
    settings = {"HOST": "127.0.0.1", "PORT": str(free_port()), "ASR_MODEL": model, "DATA_DIR": ""}
    with TemporaryDirectory() as folder, running_server(None, settings):
        microphone = Path(folder, "microphone.wav")
        seconds = write_microphone(microphone, utterances)
        flags = (*FLAGS, f"--use-file-for-fake-audio-capture={microphone}%noloop")
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(
                executable_path=shutil.which("chromium"), args=flags, headless=True
            )
            page = await browser.new_page()
            before = os.getloadavg()[0]
            audio, noted = await record(page, f"http://127.0.0.1:{settings['PORT']}/", seconds + 1)
            rate = await page.evaluate("new AudioContext().sampleRate")
            result = {"load": [before, os.getloadavg()[0]], "browser": browser.version}
            await browser.close()
    return result | summary(evaluate(audio, rate, noted))


def main() -> int:
    """Measure and print the figures; return 1 if the target is missed."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.load.first_word",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--model", default="whisper-tiny.en")
    parser.add_argument(
        "--source", type=Path, default=ROOT / "test.wav", help="a file, or a folder of utterances"
    )
    parser.add_argument("--utterances", type=int, default=20)
    options = parser.parse_args()
    if shutil.which("chromium") is None:
        sys.exit("chromium is not installed: apt-get install chromium")
    found = list(utterances_from(options.source, RATE, options.utterances))
    utterances = [found[i % len(found)][1] for i in range(options.utterances)]
    result = asyncio.run(measure(options.model, utterances))
    print(json.dumps({"machine": machine(), "model": options.model, **result}))
    return 0 if result["shown"]["p95"] <= TARGET_SECONDS else 1


if __name__ == "__main__":
    raise SystemExit(main())
