"""Run livekit-plugins-deepgram with a stream and a file, and print the results as one line of JSON.

Runs in the client's environment: nothing of ours can be imported. Arguments: host:port, a wav.
"""

import asyncio
import json
import sys
import wave
from collections.abc import Iterator

import aiohttp
from livekit import rtc
from livekit.plugins import deepgram

host, path = sys.argv[1:]
with wave.open(path) as file:
    sound = file.readframes(file.getnframes())


def frames(seconds: float) -> Iterator[rtc.AudioFrame]:
    size = round(seconds * 16_000) * 2
    for start in range(0, len(sound), size):
        piece = sound[start : start + size]
        yield rtc.AudioFrame(piece, 16_000, 1, len(piece) // 2)


async def main() -> None:
    async with aiohttp.ClientSession() as session:
        stt = deepgram.STT(api_key="none", base_url=f"http://{host}/v1/listen", http_session=session)
        stream = stt.stream()

        async def push() -> None:
            for frame in frames(0.1):
                stream.push_frame(frame)
                await asyncio.sleep(0.1)
            stream.end_input()

        pushing = asyncio.create_task(push())
        events = [
            (event.type.value, event.alternatives[0].text if event.alternatives else "")
            async for event in stream
        ]
        await pushing
        await stream.aclose()
        (whole,) = frames(60)
        answer = await stt.recognize(whole)
    print(json.dumps({"live": events, "file": answer.alternatives[0].text}))


asyncio.run(main())
