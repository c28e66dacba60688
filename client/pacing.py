"""Real time: sound leaves when a microphone would have recorded it."""

import asyncio
from collections.abc import AsyncIterator, Iterable


async def in_real_time(chunks: Iterable[bytes], seconds: float) -> AsyncIterator[bytes]:
    """Yields each chunk `seconds` after the one before. Deadlines count from the start: no drift."""
    now = asyncio.get_running_loop().time
    start = now()
    for number, chunk in enumerate(chunks, start=1):
        await asyncio.sleep(start + number * seconds - now())
        yield chunk


async def at_once(chunks: Iterable[bytes]) -> AsyncIterator[bytes]:
    """Yields the chunks as fast as they are taken."""
    for chunk in chunks:
        yield chunk
