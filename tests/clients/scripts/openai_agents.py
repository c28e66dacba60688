"""Run the voice pipeline of openai-agents with a stream, and print the results as one line of JSON.

Runs in the client's environment: nothing of ours can be imported. Arguments: base URL, a wav at 16 kHz.
"""

import asyncio
import json
import sys
import wave

import numpy as np
from agents.voice import OpenAISTTModel, StreamedAudioInput, STTModelSettings
from openai import AsyncOpenAI

base_url, path = sys.argv[1:]
with wave.open(path) as file:
    samples = np.frombuffer(file.readframes(file.getnframes()), "<i2")
at_24k = np.interp(np.arange(len(samples) * 3 // 2) / 1.5, np.arange(len(samples)), samples).astype(np.int16)


async def turns(cut: int, **settings: object) -> list[str]:
    client = AsyncOpenAI(api_key="none", base_url=base_url, websocket_base_url=base_url.replace("http", "ws"))
    sound = StreamedAudioInput()
    session = await OpenAISTTModel("gpt-4o-transcribe", client).create_session(
        sound, STTModelSettings(**settings), False, False
    )

    async def push() -> None:
        for start in range(0, cut, 2_400):
            await sound.add_audio(at_24k[start : min(cut, start + 2_400)])
            await asyncio.sleep(0.02)
        await sound.add_audio(None)

    pushing = asyncio.create_task(push())
    heard = [turn async for turn in session.transcribe_turns()]
    await pushing
    await session.close()
    return heard


async def main() -> None:
    whole = len(at_24k)
    print(
        json.dumps(
            {
                "semantic_vad": await turns(whole),
                "server_vad": await turns(whole, turn_detection={"type": "server_vad"}, language="en"),
                "cut": await turns(2 * 24_000),  # in the middle of the first sentence
                "nothing": await turns(0),
            }
        )
    )


asyncio.run(main())
