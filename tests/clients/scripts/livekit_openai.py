"""Run livekit-plugins-openai with a stream, and print the results as one line of JSON.

Runs in the client's environment: nothing of ours can be imported. Arguments: base URL, a wav at 16 kHz.
"""

import asyncio
import json
import sys
import wave
from typing import Any

from livekit import rtc
from livekit.agents import utils
from livekit.plugins import openai

base_url, path = sys.argv[1:]
with wave.open(path) as file:
    sound = file.readframes(file.getnframes()) + bytes(32_000)


async def events(finals: int, **settings: Any) -> list[Any]:
    """Collect events until enough finals have arrived; the stream never ends by itself."""
    stt = openai.STT(base_url=base_url, api_key="none", use_realtime=True, **settings)
    stream = stt.stream()

    async def push() -> None:
        for start in range(0, len(sound), 3_200):
            piece = sound[start : start + 3_200]
            stream.push_frame(rtc.AudioFrame(piece, 16_000, 1, len(piece) // 2))
            await asyncio.sleep(0.1)

    pushing = asyncio.create_task(push())
    seen: list[Any] = []
    async for event in stream:
        seen.append((event.type.value, event.alternatives[0].text if event.alternatives else ""))
        if sum(kind == "recognition_usage" for kind, _ in seen) == finals:
            break
    await pushing
    await stream.aclose()
    return seen


async def main() -> None:
    async with utils.http_context.open():
        server = await events(3, model="gpt-4o-mini-transcribe", language="en")
        live = await events(3, model="gpt-live-transcribe", language="en")
    print(json.dumps({"server_vad": server, "live": live}))


asyncio.run(main())
