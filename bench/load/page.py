"""What the page costs: python -m bench.load.page. Needs Debian's chromium; its rendering is in software.

A stand-in for the recognizer says words at once, so that all that is measured is the page: its bytes, its
first paint, how long a word is on its way from the server to the screen with few words above it and with
many, and how many frames a second the browser draws meanwhile, by its own trace.
"""

import argparse
import asyncio
import json
import shutil
import statistics
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final

import uvicorn
from playwright.async_api import Browser, CDPSession, Page, async_playwright

from bench.load.machine import machine
from server.app import create_app
from server.settings import Settings, WorkerKind

FLAGS: Final = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
    *("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"),
)
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]

WORDS: Final = 10  # in an utterance
UTTERANCE_MS: Final = 3600
PARTIAL_SECONDS: Final = 0.1
TRACED: Final = "devtools.timeline,disabled-by-default-devtools.timeline.frame"

# Notes when a message came and when the frame with it was done, by the clock of the machine.
PROBE: Final = """
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


class StandIn:
    """The server, but for live sessions, which it leads by itself. An ASGI application.

    told: how many words it says at once, when a session begins
    """

    def __init__(self) -> None:
        self.told = 0
        self._server = create_app(Settings(_env_file=None, asr_model="free", asr_worker=WorkerKind.THREAD))
        self._seq = 0

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self._talk(receive, send)
        else:
            await self._server(scope, receive, send)

    async def _talk(self, receive: Receive, send: Send) -> None:
        self._seq = 0
        await send({"type": "websocket.accept"})
        await self._say(send, type="session.created", resume_token=None)
        for number in range(self.told // WORDS):
            await self._final(send, number)
        speaking = asyncio.create_task(self._speak(send, self.told // WORDS))
        while (await receive())["type"] != "websocket.disconnect":
            pass
        speaking.cancel()

    async def _speak(self, send: Send, number: int) -> None:
        while True:
            start, words = number * UTTERANCE_MS, _words(number)
            for count in range(1, WORDS + 1):
                text = " ".join(words[:count])
                told = {"item_id": f"item_{number}", "text": text, "start_ms": start}
                await self._say(send, type="transcript.partial", stable_chars=max(0, len(text) - 8), **told)
                await asyncio.sleep(PARTIAL_SECONDS)
            await self._final(send, number)
            number += 1

    async def _final(self, send: Send, number: int) -> None:
        start, step = number * UTTERANCE_MS, UTTERANCE_MS // WORDS
        words = [
            {"word": word, "start_ms": start + step * i, "end_ms": start + step * (i + 1), "confidence": 0.9}
            for i, word in enumerate(_words(number))
        ]
        told = {"transcript": " ".join(_words(number)), "words": words, "language": "en"}
        times = {"item_id": f"item_{number}", "start_ms": start, "end_ms": start + UTTERANCE_MS}
        await self._say(send, type="response.audio_transcript.done", **told, **times)

    async def _say(self, send: Send, **message: Any) -> None:
        self._seq += 1
        text = json.dumps({**message, "seq": self._seq, "sent": time.time() * 1000})
        await send({"type": "websocket.send", "text": text})


def _words(number: int) -> list[str]:
    return [f"word{number * WORDS + i}" for i in range(WORDS)]


@contextmanager
def serving(app: StandIn) -> Iterator[str]:
    """The address."""
    server = uvicorn.Server(uvicorn.Config(app, "127.0.0.1", 0, log_config=None))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/"
    finally:
        server.should_exit = True
        thread.join()


@asynccontextmanager
async def visiting(browser: Browser) -> AsyncIterator[tuple[Page, CDPSession]]:
    """Without anything in the cache."""
    context = await browser.new_context(viewport={"width": 1280, "height": 800})
    page = await context.new_page()
    try:
        yield page, await context.new_cdp_session(page)
    finally:
        await context.close()


async def first_paint(browser: Browser, url: str) -> dict[str, float]:
    """ms until words are painted, ms of work of the page's main thread until then and for all of the load."""
    async with visiting(browser) as (page, devtools):
        await devtools.send("Performance.enable")
        await page.goto(url, wait_until="networkidle")
        found = await devtools.send("Performance.getMetrics")
        work = {each["name"]: each["value"] * 1000 for each in found["metrics"]}
        paint = await page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
        return {"paint_ms": paint, "work_ms": work["TaskDuration"], "script_ms": work["ScriptDuration"]}


async def weight(browser: Browser, url: str) -> dict[str, int]:
    """Bytes of everything that the page may load, as they are and as they travel."""
    async with visiting(browser) as (page, _):
        await page.goto(url, wait_until="networkidle")
        folder = await page.evaluate("new URL('.', document.querySelector('script').src).href")
        for late in ("file_region.js", "capture_worklet.js"):  # loaded when they are needed
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
    """ms from a word's sending to its frame, and frames a second, for so long below so many words."""
    async with visiting(browser) as (page, devtools):
        await page.add_init_script(PROBE)
        await page.goto(url)
        await page.click("#record")
        await page.wait_for_function("words => document.querySelectorAll('.word').length > words", arg=words)
        await page.wait_for_timeout(1_000)
        await page.evaluate("shown.length = 0")
        frames: list[str] = []
        ended = asyncio.Event()
        devtools.on("Tracing.dataCollected", lambda told: frames.extend(e["name"] for e in told["value"]))
        devtools.on("Tracing.tracingComplete", lambda _: ended.set())
        await devtools.send("Tracing.start", {"categories": TRACED})
        start = time.monotonic()
        await page.wait_for_timeout(seconds * 1000)
        took = time.monotonic() - start
        await devtools.send("Tracing.end")
        await ended.wait()
        shown: list[float] = await page.evaluate("shown")
        in_sight = await page.evaluate(
            "document.querySelector('#end').getBoundingClientRect().top <= innerHeight"
        )
        assert in_sight, "what is measured is not in sight"
    cuts = statistics.quantiles(shown, n=100)
    return {
        "shown": len(shown),
        "p50_ms": statistics.median(shown),
        "p95_ms": cuts[94],
        "max_ms": max(shown),
        "frames_per_second": frames.count("DrawFrame") / took,
        "dropped_per_second": frames.count("DroppedFrame") / took,
    }


async def measure(seconds: float, repeats: int) -> dict[str, Any]:
    stand_in = StandIn()
    with serving(stand_in) as url:
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(
                executable_path=shutil.which("chromium"), args=FLAGS, headless=True
            )
            await first_paint(browser, url)  # the browser warms up, as the server has
            paints = [await first_paint(browser, url) for _ in range(repeats)]
            result: dict[str, Any] = {"weight": await weight(browser, url)}
            result["paint"] = {
                name: statistics.median(each[name] for each in paints) for name in sorted(paints[0])
            }
            for words in (0, 5_000):
                stand_in.told = words
                result[f"after_{words}_words"] = await streaming(browser, url, words, seconds)
            result["browser"] = browser.version
            await browser.close()
    return result


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=20.0, help="of each stream of words")
    parser.add_argument("--repeats", type=int, default=7, help="loads of the page")
    options = parser.parse_args()
    if shutil.which("chromium") is None:
        sys.exit("no chromium: apt-get install chromium")
    result = asyncio.run(measure(options.seconds, options.repeats))
    print(json.dumps({"machine": machine(), **result}))


if __name__ == "__main__":
    main()
