"""Pace audio chunks in real time, or pass them on as fast as possible."""

import asyncio
from collections.abc import AsyncIterator, Iterable


async def in_real_time(chunks: Iterable[bytes], seconds: float) -> AsyncIterator[bytes]:
    """Yield each chunk `seconds` after the one before, without drift, as deadlines count from the start."""
    now = asyncio.get_running_loop().time
    start = now()
    for number, chunk in enumerate(chunks, start=1):
        await asyncio.sleep(start + number * seconds - now())
        yield chunk


async def at_once(chunks: Iterable[bytes]) -> AsyncIterator[bytes]:
    """Yield the chunks as fast as they are consumed."""
    for chunk in chunks:
        yield chunk
