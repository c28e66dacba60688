"""Audio is paced in real time."""

import asyncio

from client.pacing import at_once, in_real_time

CHUNKS = [b"a", b"b", b"c"]


async def test_no_chunk_comes_before_it_would_have_been_recorded() -> None:
    now = asyncio.get_running_loop().time
    start = now()
    arrivals = [(chunk, now() - start) async for chunk in in_real_time(CHUNKS, 0.02)]
    assert [chunk for chunk, _ in arrivals] == CHUNKS
    assert all(at >= number * 0.02 - 0.002 for number, (_, at) in enumerate(arrivals, start=1))


async def test_all_chunks_come_at_once() -> None:
    assert [chunk async for chunk in at_once(CHUNKS)] == CHUNKS
