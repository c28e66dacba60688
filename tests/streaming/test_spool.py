"""Test the files in which audio waits."""

import asyncio
import gc
import os
from pathlib import Path

import numpy as np
import psutil  # type: ignore[import-untyped]
from hypothesis import given
from hypothesis import strategies as st

from audio.clip import SAMPLE_RATE, Samples
from streaming.spool import FILE_BYTES, Spool
from tests.examples import examples
from tests.waiting import until


async def stored(spool: Spool, *clips: Samples) -> list[Samples]:
    stream = spool.open()
    waiting: list[asyncio.Future[Samples]] = []
    for clip in clips:
        future: asyncio.Future[Samples] = asyncio.get_running_loop().create_future()
        stream.store(clip, future.set_result)
        waiting.append(future)
    return list(await asyncio.gather(*waiting))


def noise(samples: int, seed: int = 0) -> Samples:
    return np.random.default_rng(seed).uniform(-1, 1, samples).astype(np.float32)


@examples(20)
@given(st.lists(st.integers(1, 2 * FILE_BYTES // 4), min_size=1, max_size=6))
def test_stored_audio_is_equal(lengths: list[int]) -> None:
    async def run() -> None:
        spool = Spool(1.0)
        clips = [noise(length, seed) for seed, length in enumerate(lengths)]
        for clip, kept in zip(clips, await stored(spool, *clips), strict=True):
            assert np.array_equal(clip, kept)
        spool.close()

    asyncio.run(run())


async def test_files_are_freed_with_the_last_view(tmp_path: Path) -> None:
    def open_files() -> int:
        return sum(str(tmp_path) in file.path for file in psutil.Process().memory_maps())

    spool = Spool(1.0, tmp_path)
    clips = [noise(60 * SAMPLE_RATE) for _ in range(4)]
    kept = await stored(spool, *clips)
    assert open_files() > 0
    assert not os.listdir(tmp_path)
    del kept
    await until(lambda: gc.collect() >= 0 and open_files() == 0)
    spool.close()


async def test_stream_reports_why_its_disk_failed(tmp_path: Path) -> None:
    spool = Spool(1.0, tmp_path / "missing")
    stream, clip = spool.open(), noise(100)
    done: asyncio.Future[Samples] = asyncio.get_running_loop().create_future()
    stream.store(clip, done.set_result)
    assert await done is clip
    assert stream.error is not None
    assert "missing" in stream.error
    assert (stream.max_samples, stream.writing) == (0, 0)
    spool.close()
