"""Talk to /v1/realtime at the pace of speech with the openai SDK, and print what came as one line of JSON.

Runs in the client's environment: nothing of ours can be imported. Arguments: base URL, a wav at 16 kHz, the
seconds of audio to send. The wav is repeated, so the length of each utterance is known.
"""

import asyncio
import base64
import json
import sys
import time
import wave
from typing import Any

from openai import AsyncOpenAI

base_url, path = sys.argv[1:3]
seconds = float(sys.argv[3])
with wave.open(path) as file:
    pcm = file.readframes(file.getnframes())

CHUNK = 3_200  # bytes, 100 ms
CONVERSATION = "conversation.item.input_audio_transcription"


async def talk(connection: Any) -> None:
    """Send the audio and two seconds of silence at the pace of speech, then a request for an answer."""
    began = time.monotonic()
    for number in range(round(seconds * 10) + 20):
        await asyncio.sleep(max(0.0, began + number / 10 - time.monotonic()))
        start = number * CHUNK % (len(pcm) - CHUNK)
        chunk = pcm[start : start + CHUNK] if number < seconds * 10 else bytes(CHUNK)
        await connection.input_audio_buffer.append(audio=base64.b64encode(chunk).decode())
    await connection.input_audio_buffer.clear()


async def main() -> dict[str, Any]:
    """Run one session, until all committed items have their text."""
    client = AsyncOpenAI(base_url=base_url, api_key="none")
    committed, completed, errors, cleared = set(), set(), [], False
    began = time.monotonic()
    async with client.realtime.connect(extra_query={"intent": "transcription"}) as connection:
        audio = {"input": {"format": {"type": "audio/pcm", "rate": 16_000}}}
        await connection.session.update(session={"type": "transcription", "audio": audio})
        talking = asyncio.create_task(talk(connection))
        async for event in connection:
            match event.type:
                case "input_audio_buffer.committed":
                    committed.add(event.item_id)
                case "input_audio_buffer.cleared":
                    cleared = True
                case _ if event.type == f"{CONVERSATION}.completed":
                    completed.add(event.item_id)
                case _ if event.type == "error" or event.type.endswith("failed"):
                    errors.append(event.model_dump_json())
            if cleared and committed == completed:
                break
        await talking
    return {
        "committed": len(committed),
        "completed": len(completed),
        "errors": errors,
        "seconds": round(time.monotonic() - began, 1),
    }


print(json.dumps(asyncio.run(main())))
