"""Measure the web page in a browser: size, first paint, latency of words, frame rate.

    python -m bench.load.page --seconds 20

It needs Debian's chromium, which renders in software here. A scripted server sends words at a fixed rate, so
only the page is measured: its bytes, its first paint, the time of a word from the server to the screen below
few and below many words, and the frames per second from the browser's own trace.
"""

import argparse
import asyncio
import json
import shutil
import statistics
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from playwright.async_api import Browser, CDPSession, Page, async_playwright

from bench.load.in_process_server import dummy_app, serving
from bench.load.machine import machine

FLAGS: Final = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
    *("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"),
)
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]

UTTERANCE_WORDS: Final = 10
UTTERANCE_MS: Final = 3600
PARTIAL_SECONDS: Final = 0.1
TRACE_CATEGORIES: Final = "devtools.timeline,disabled-by-default-devtools.timeline.frame"

# Records the time from the sending of each partial to the end of the frame that shows it.
PROBE_SCRIPT: Final = """
window.shown = [];
const Plain = WebSocket;
window.WebSocket = class extends Plain {
  constructor(...given) {
    super(...given);
    this.addEventListener("message", ({ data }) => {
      const { sent, type } = JSON.parse(data);
      if (type !== "transcript.partial") return;
      requestAnimationFrame(() => {
        const { port1, port2 } = new MessageChannel();
        port1.onmessage = () => shown.push(performance.timeOrigin + performance.now() - sent);
        port2.postMessage(0);
      });
    });
  }
};
"""


class ScriptedServer:
    """Serve the page, and answer live sessions with a script. An ASGI application.

    initial_words: how many words a session receives at its start
    """

    def __init__(self) -> None:
        self.initial_words = 0
        self._server = dummy_app()
        self._seq = 0

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self._run_session(receive, send)
        else:
            await self._server(scope, receive, send)

    async def _run_session(self, receive: Receive, send: Send) -> None:
        self._seq = 0
        await send({"type": "websocket.accept"})
        await self._send_message(send, type="session.created", resume_token=None)
        for number in range(self.initial_words // UTTERANCE_WORDS):
            await self._final(send, number)
        speaking = asyncio.create_task(self._send_utterances(send, self.initial_words // UTTERANCE_WORDS))
        while (await receive())["type"] != "websocket.disconnect":
            pass
        speaking.cancel()

    async def _send_utterances(self, send: Send, number: int) -> None:
        while True:
            start, words = number * UTTERANCE_MS, _words(number)
            for count in range(1, UTTERANCE_WORDS + 1):
                text = " ".join(words[:count])
                partial = {"item_id": f"item_{number}", "text": text, "start_ms": start}
                stable_chars = max(0, len(text) - 8)
                await self._send_message(
                    send, type="transcript.partial", stable_chars=stable_chars, **partial
                )
                await asyncio.sleep(PARTIAL_SECONDS)
            await self._final(send, number)
            number += 1

    async def _final(self, send: Send, number: int) -> None:
        start, step = number * UTTERANCE_MS, UTTERANCE_MS // UTTERANCE_WORDS
        words = [
            {"word": word, "start_ms": start + step * i, "end_ms": start + step * (i + 1), "confidence": 0.9}
            for i, word in enumerate(_words(number))
        ]
        final = {"transcript": " ".join(_words(number)), "words": words, "language": "en"}
        times = {"item_id": f"item_{number}", "start_ms": start, "end_ms": start + UTTERANCE_MS}
        await self._send_message(send, type="response.audio_transcript.done", **final, **times)

    async def _send_message(self, send: Send, **message: Any) -> None:
        self._seq += 1
        text = json.dumps({**message, "seq": self._seq, "sent": time.time() * 1000})
        await send({"type": "websocket.send", "text": text})


def _words(number: int) -> list[str]:
    return [f"word{number * UTTERANCE_WORDS + i}" for i in range(UTTERANCE_WORDS)]


@asynccontextmanager
async def new_page(browser: Browser) -> AsyncIterator[tuple[Page, CDPSession]]:
    """Open a page with an empty cache."""
    context = await browser.new_context(viewport={"width": 1280, "height": 800})
    page = await context.new_page()
    try:
        yield page, await context.new_cdp_session(page)
    finally:
        await context.close()


async def first_paint(browser: Browser, url: str) -> dict[str, float]:
    """Return the first contentful paint and the work of the main thread and its scripts, in ms."""
    async with new_page(browser) as (page, devtools):
        await devtools.send("Performance.enable")
        await page.goto(url, wait_until="networkidle")
        found = await devtools.send("Performance.getMetrics")
        work = {each["name"]: each["value"] * 1000 for each in found["metrics"]}
        await page.wait_for_function("() => performance.getEntriesByName('first-contentful-paint').length")
        paint = await page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
        return {"paint_ms": paint, "work_ms": work["TaskDuration"], "script_ms": work["ScriptDuration"]}


async def weight(browser: Browser, url: str) -> dict[str, int]:
    """Return the number and bytes of everything that the page may load, decoded and as transferred."""
    async with new_page(browser) as (page, _):
        await page.goto(url, wait_until="networkidle")
        folder = await page.evaluate("new URL('.', document.querySelector('script').src).href")
        for late in ("file_region.js", "capture_worklet.js"):  # these load on demand
            await page.evaluate("url => fetch(url).then(answer => answer.text())", folder + late)
        for name in ("wavesurfer.esm.js", "regions.esm.js"):
            address = f"{folder}vendor/wavesurfer/{name}"
            await page.evaluate("url => fetch(url).then(answer => answer.text())", address)
        entries = """performance.getEntriesByType('resource')
            .concat(performance.getEntriesByType('navigation'))
            .filter((each) => each.name.includes('/web/') || each.entryType === 'navigation')
            .map((each) => [each.decodedBodySize, each.encodedBodySize])"""
        sizes = await page.evaluate(entries)
        return {
            "parts": len(sizes),
            "bytes": sum(size for size, _ in sizes),
            "bytes_sent": sum(sent for _, sent in sizes),
        }


async def streaming(browser: Browser, url: str, words: int, seconds: float) -> dict[str, float]:
    """Return the latency of partials in ms and the frames per second, below `words` words.

    seconds: length of the measurement
    """
    async with new_page(browser) as (page, devtools):
        await page.add_init_script(PROBE_SCRIPT)
        await page.goto(url)
        await page.click("#record")
        await page.wait_for_function("words => document.querySelectorAll('.word').length > words", arg=words)
        await page.wait_for_timeout(1_000)
        await page.evaluate("shown.length = 0")
        frames: list[str] = []
        ended = asyncio.Event()
        devtools.on("Tracing.dataCollected", lambda data: frames.extend(e["name"] for e in data["value"]))
        devtools.on("Tracing.tracingComplete", lambda _: ended.set())
        await devtools.send("Tracing.start", {"categories": TRACE_CATEGORIES})
        start = time.monotonic()
        await page.wait_for_timeout(seconds * 1000)
        took = time.monotonic() - start
        await devtools.send("Tracing.end")
        await ended.wait()
        shown: list[float] = await page.evaluate("shown")
        in_sight = await page.evaluate(
            "document.querySelector('#end').getBoundingClientRect().top <= innerHeight"
        )
        assert in_sight, "The end of the transcript is not visible."
    cuts = statistics.quantiles(shown, n=100)
    return {
        "shown": len(shown),
        "p50_ms": statistics.median(shown),
        "p95_ms": cuts[94],
        "max_ms": max(shown),
        "frames_per_second": frames.count("DrawFrame") / took,
        "dropped_per_second": frames.count("DroppedFrame") / took,
    }


async def measure(
    seconds: float, repeats: int, below: Sequence[int] = (0, 5_000), chromium: str | None = None
) -> dict[str, Any]:
    """Start the scripted server and a browser, and measure.

    seconds: length of each measurement of latency; repeats: loads of the page; below: how many words the page
    has when the latency of the next ones is measured; chromium: path of the browser; None for the one in PATH
    """
    scripted = ScriptedServer()
    with serving(scripted) as url:
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(
                executable_path=chromium or shutil.which("chromium"), args=FLAGS, headless=True
            )
            await first_paint(browser, url)  # warm up the browser
            paints = [await first_paint(browser, url) for _ in range(repeats)]
            result: dict[str, Any] = {"weight": await weight(browser, url)}
            result["paint"] = {
                name: statistics.median(each[name] for each in paints) for name in sorted(paints[0])
            }
            for words in below:
                scripted.initial_words = words
                result[f"after_{words}_words"] = await streaming(browser, url, words, seconds)
            result["browser"] = browser.version
            await browser.close()
    return result


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.load.page",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seconds", type=float, default=20.0, help="length of each measurement of latency")
    parser.add_argument("--repeats", type=int, default=7, help="loads of the page")
    options = parser.parse_args()
    if shutil.which("chromium") is None:
        sys.exit("chromium is not installed: apt-get install chromium")
    result = asyncio.run(measure(options.seconds, options.repeats))
    print(json.dumps({"machine": machine(), **result}))


if __name__ == "__main__":
    main()
