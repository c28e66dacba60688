"""Check that recognition that is slower than speech disconnects no client and loses no word.

    python -m tests.clients.slow_recognition --seconds 300 --speed 0.3

Three unmodified clients send sentences of test.wav at the pace of speech to one simulated recognizer, which
is shared fairly, and wait for all finals: `websockets`, which closes the connection if a ping is not answered
in 20 s, the openai SDK for Python, and the page in Chromium. The exit status is 1 if one of them fails.
"""

import argparse
import asyncio
import json
import sys
import time
import wave
from collections import Counter
from typing import Any, Final

from playwright.async_api import async_playwright
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from bench.load.machine import machine
from bench.load.overload import settings_for
from bench.load.protocol_overhead import running_server
from tests.clients.environments import OPENAI, SCRIPTS, python_environment
from tests.web.browser import WAV, launch_chromium, microphone_flags, open_page

CHUNK_BYTES: Final = 3_200
CHUNK_SECONDS: Final = 0.1
EVENTS: Final = "transcript.partial,server.lag,session.closed"
CLIENTS: Final = 3


async def send(socket: ClientConnection, pcm: bytes, seconds: float) -> None:
    """Send audio at the pace of speech, and end the stream."""
    began = time.monotonic()
    for number in range(round(seconds / CHUNK_SECONDS)):
        await asyncio.sleep(max(0.0, began + number * CHUNK_SECONDS - time.monotonic()))
        start = number * CHUNK_BYTES % (len(pcm) - CHUNK_BYTES)
        await socket.send(pcm[start : start + CHUNK_BYTES])
    await socket.send(json.dumps({"type": "end_of_stream"}))


async def use_websockets(url: str, pcm: bytes, seconds: float) -> dict[str, Any]:
    """Run one session of the native protocol and return its figures."""
    began, kinds, last_partial, lag_ms, sums = time.monotonic(), Counter[str](), 0.0, 0, {}
    pongs: list[float] = []
    async with connect(f"{url}?events={EVENTS}", compression=None, proxy=None) as socket:
        sending = asyncio.create_task(send(socket, pcm, seconds))

        async def ping() -> None:
            while True:
                sent = time.monotonic()
                await (await socket.ping())
                pongs.append(time.monotonic() - sent)
                await asyncio.sleep(1)

        pinging = asyncio.create_task(ping())
        try:
            async for text in socket:
                message = json.loads(text)
                kinds[message["type"]] += 1
                if message["type"] == "transcript.partial":
                    last_partial = time.monotonic() - began
                lag_ms = max(lag_ms, message.get("lag_ms", 0))
                if message["type"] == "session.closed":
                    sums = message
        except ConnectionClosed:
            pass  # its code is in the figures
        for task in (sending, pinging):
            task.cancel()
        await asyncio.gather(sending, pinging, return_exceptions=True)
    return {
        "messages": dict(kinds),
        "close": socket.close_code,
        "sums": sums,
        "most_lag_seconds": lag_ms / 1000,
        "last_partial_seconds": round(last_partial, 1),
        "slowest_pong_ms": round(1000 * max(pongs, default=0.0), 1),
        "seconds": round(time.monotonic() - began, 1),
        "failed": socket.close_code != 1000 or sums.get("dropped_ms") != 0 or kinds["error"] > 0,
    }


async def use_openai(url: str, seconds: float) -> dict[str, Any]:
    """Run one session of /v1/realtime with the SDK and return its figures."""
    python = await asyncio.to_thread(python_environment, "openai", OPENAI)
    script = str(SCRIPTS / "openai_realtime_slow.py")
    process = await asyncio.create_subprocess_exec(
        python, script, f"{url}/v1", str(WAV), str(seconds), stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    if process.returncode:
        return {"failed": True, "exit": process.returncode}
    figures: dict[str, Any] = json.loads(output.splitlines()[-1])
    return figures | {"failed": bool(figures["errors"])}


async def use_page(url: str, seconds: float, patience: float) -> dict[str, Any]:
    """Record on the page in Chromium, whose microphone repeats test.wav, and return the figures."""
    flags = microphone_flags(WAV)
    repeated = [flag.removesuffix("%noloop") for flag in flags]
    began = time.monotonic()
    async with (
        async_playwright() as playwright,
        launch_chromium(playwright, *repeated) as browser,
        open_page(browser, url) as page,
    ):
        await page.evaluate("echo.checked = noise.checked = false")
        await page.get_by_role("button", name="Start recording").click()
        await page.get_by_role("button", name="Stop").wait_for()
        await asyncio.sleep(seconds)
        await page.get_by_role("button", name="Stop").click()
        done = page.get_by_text("Done. The transcript is complete.")
        await done.wait_for(timeout=1_000 * patience)
        segments = await page.locator(".segment:not([data-speech]) .text").count()
        without_text = await page.locator(".segment[data-speech]").count()
    return {
        "segments": segments,
        "without_text": without_text,
        "seconds": round(time.monotonic() - began, 1),
        "failed": without_text > 0 or segments == 0,
    }


async def use_all(socket_url: str, seconds: float, speed: float) -> dict[str, Any]:
    """Run all clients at the same time and return their figures by name."""
    with wave.open(str(WAV)) as file:
        pcm = file.readframes(file.getnframes())
    url = socket_url.replace("ws://", "http://").removesuffix("/ws/stt")
    runs = {
        "websockets": use_websockets(socket_url, pcm, seconds),
        "openai": use_openai(url, seconds),
        "page": use_page(url, seconds, patience=3 * seconds / speed),
    }
    found = await asyncio.gather(*runs.values(), return_exceptions=True)
    return {
        name: {"failed": True, "error": repr(each)} if isinstance(each, BaseException) else each
        for name, each in zip(runs, found, strict=True)
    }


def main() -> int:
    """Run the clients and return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.clients.slow_recognition",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seconds", type=float, default=300.0, help="of audio")
    parser.add_argument(
        "--speed",
        type=float,
        default=0.3,
        help="of recognition for each client, in seconds of audio per second",
    )
    options = parser.parse_args()
    settings = settings_for(1 / (CLIENTS * options.speed))
    with running_server(None, settings, ("-m", "bench.load.fixed_pace_server")) as server:
        figures = asyncio.run(use_all(server.url, options.seconds, options.speed))
    print(json.dumps({"machine": machine(), **figures}))
    return 1 if any(each["failed"] for each in figures.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
