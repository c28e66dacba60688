"""Run the openai SDK with /v1/realtime, and print the events as one line of JSON.

Runs in the client's environment: nothing of ours can be imported. Arguments: base URL, a wav at 16 kHz.
"""

import array
import asyncio
import base64
import json
import sys
import wave
from collections.abc import Iterator
from typing import Any

from openai import AsyncOpenAI

base_url, path = sys.argv[1:]
with wave.open(path) as file:
    samples = array.array("h", file.readframes(file.getnframes()))

TRANSCRIPTION = "conversation.item.input_audio_transcription"
SECONDS = len(samples) / 16_000
GA = {"type": "audio/pcm", "rate": 16_000}


def chunks(rate: int) -> Iterator[str]:
    """Yield 100 ms of audio each in base64, then a second of silence."""
    count = len(samples) * rate // 16_000
    whole = array.array("h", (samples[n * 16_000 // rate] for n in range(count))).tobytes() + bytes(2 * rate)
    for start in range(0, len(whole), rate // 5):
        yield base64.b64encode(whole[start : start + rate // 5]).decode()


async def hear(connection: Any, last: str, items: int) -> dict[str, Any]:
    """Collect events up to one of type `last`, and until enough items are completed."""
    types, kinds, texts, deltas = [], set(), {}, {}
    async for event in connection:
        kinds.add(type(event).__name__)
        if not types or types[-1] != event.type:
            types.append(event.type)
        if event.type == f"{TRANSCRIPTION}.delta":
            deltas[event.item_id] = deltas.get(event.item_id, "") + event.delta
        if event.type == f"{TRANSCRIPTION}.completed":
            texts[event.item_id] = event.transcript
            usage = event.usage.model_dump()
        if last in types and len(texts) >= items:
            break
    return {
        "types": types,
        "kinds": sorted(kinds),
        "texts": list(texts.values()),
        "deltas": list(deltas.values()),
        "usage": usage,
        "error": None,
    }


async def talk(connection: Any, rate: int, commit: bool, pace: float) -> None:
    for chunk in chunks(rate):
        await connection.input_audio_buffer.append(audio=chunk)
        await asyncio.sleep(pace)
    if commit:
        await connection.input_audio_buffer.commit()
    await connection.input_audio_buffer.clear()


async def ga(client: AsyncOpenAI, pace: float = 0.0, **input_: Any) -> dict[str, Any]:
    by_hand = input_.get("turn_detection", "") is None or "gpt-live" in str(input_)
    async with client.realtime.connect(extra_query={"intent": "transcription"}) as connection:
        await connection.session.update(
            session={"type": "transcription", "audio": {"input": {"format": GA, **input_}}}
        )
        talking = asyncio.create_task(talk(connection, 16_000, by_hand, pace))
        heard = await hear(connection, "input_audio_buffer.cleared", 1 if by_hand else 3)
        await talking
        return heard


async def beta(client: AsyncOpenAI) -> dict[str, Any]:
    query = {"intent": "transcription"}
    async with client.beta.realtime.connect(model="whisper-1", extra_query=query) as connection:
        await connection.transcription_session.update(
            session={"input_audio_format": "pcm16", "input_audio_transcription": {"model": "whisper-1"}}
        )
        talking = asyncio.create_task(talk(connection, 24_000, False, 0.0))
        heard = await hear(connection, "input_audio_buffer.cleared", 3)
        await talking
        return heard


async def with_secret(client: AsyncOpenAI) -> dict[str, Any]:
    """Connect as a browser does, with settings that belong to the client secret."""
    secret = await client.realtime.client_secrets.create(
        session={"type": "transcription", "audio": {"input": {"format": GA, "turn_detection": None}}}
    )
    browser = AsyncOpenAI(api_key=secret.value, base_url=base_url)
    async with browser.realtime.connect(extra_query={"intent": "transcription"}) as connection:
        talking = asyncio.create_task(talk(connection, 16_000, True, 0.0))
        heard = await hear(connection, "input_audio_buffer.cleared", 1)
        await talking
    return {**heard, "secret": secret.model_dump(mode="json")}


async def refused(client: AsyncOpenAI) -> dict[str, Any]:
    stranger = AsyncOpenAI(api_key="ek_nobody", base_url=base_url)
    async with stranger.realtime.connect(extra_query={"intent": "transcription"}) as connection:
        event = await connection.recv()
        try:
            await connection.recv()
        except Exception as closed:
            return {"code": event.error.code, "closed": str(closed)}
    raise AssertionError("it was not closed")


async def wrong(client: AsyncOpenAI) -> list[Any]:
    """Cause errors that do not end the session."""
    seen = []
    async with client.realtime.connect(extra_query={"intent": "transcription"}) as connection:
        await connection.recv()
        await connection.input_audio_buffer.commit(event_id="too early")
        await connection.response.create(event_id="no model")
        await connection.session.update(session={"type": "transcription", "include": 5})
        await connection.input_audio_buffer.clear()
        for _ in range(4):
            event = await connection.recv()
            error = getattr(event, "error", None)
            seen.append([event.type, error and error.code, error and error.event_id])
    return seen


async def main() -> None:
    plain = AsyncOpenAI(api_key="none", base_url=base_url)
    flat = AsyncOpenAI(api_key="none", base_url=base_url, websocket_base_url=base_url.replace("http", "ws"))
    print(
        json.dumps(
            {
                "server_vad": await ga(plain, transcription={"model": "gpt-4o-transcribe", "language": "en"}),
                "semantic_vad": await ga(plain, turn_detection={"type": "semantic_vad"}),
                "by_hand": await ga(plain, turn_detection=None),
                "live": await ga(plain, 0.1, transcription={"model": "gpt-live-transcribe"}),
                "beta": await beta(flat),
                "secret": await with_secret(plain),
                "refused": await refused(plain),
                "wrong": await wrong(plain),
            }
        )
    )


asyncio.run(main())
