"""One file on its way through the models."""

import asyncio
import io
import threading
import tracemalloc
from contextlib import aclosing

import numpy as np
import pytest

from server.file_work import FileWork
from server.http_error import HttpError
from server.metrics import Metrics
from stream.options import SessionOptions
from tests.server.calling import wav
from tests.stream.little import sound
from tests.stream.working import Recognizer, models

SECOND = 16_000
TALK = sound((False, SECOND), (True, SECOND), (False, SECOND), (True, SECOND), (False, SECOND))


async def heard(work: FileWork, recognizer: Recognizer | None = None) -> list[str]:
    async with (
        models(recognizer) as shared,
        aclosing(work.listen(shared, SessionOptions(), Metrics())) as segments,
    ):
        return [segment.hypothesis.text async for segment in segments]


async def test_segments_come_in_order_and_make_the_transcript() -> None:
    work = FileWork(io.BytesIO(wav(TALK)), max_seconds=60)
    await work.check()
    texts = await heard(work)
    transcript = work.transcript("little")
    assert [segment.hypothesis.text for segment in transcript.segments] == texts
    assert (len(texts), work.seconds, transcript.model) == (2, 5.0, "little")
    assert transcript.segments[0].end <= transcript.segments[1].start


async def test_a_file_without_speech_is_silent_and_no_error() -> None:
    work = FileWork(io.BytesIO(wav(sound((False, 3 * SECOND)))), max_seconds=60)
    assert await heard(work) == []
    assert (work.transcript("x").segments, work.seconds) == ((), 3.0)


async def test_no_sound_is_named_before_the_work_begins() -> None:
    with pytest.raises(HttpError, match="Supported formats") as refused:
        await FileWork(io.BytesIO(b"no sound"), max_seconds=60).check()
    assert (refused.value.status, refused.value.param) == (400, "file")


class Slow(io.BytesIO):
    """It is read in a thread, which waits for `go_on`."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.go_on = threading.Event()
        self.is_read = threading.Event()
        self.was_read = threading.Event()
        self.was_closed = False

    def read(self, size: int | None = -1) -> bytes:
        self.is_read.set()
        self.go_on.wait()
        self.was_closed |= self.closed
        self.was_read.set()
        return b"" if self.closed else super().read(size)


async def test_who_leaves_waits_for_the_thread_that_reads_before_the_file_is_closed() -> None:
    file = Slow(wav(TALK))

    async def visit() -> None:
        with file:
            await FileWork(file, max_seconds=60).check()

    visiting = asyncio.create_task(visit())
    await asyncio.to_thread(file.is_read.wait)
    visiting.cancel()
    await asyncio.sleep(0)
    file.go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await visiting
    assert file.closed
    await asyncio.to_thread(file.was_read.wait)
    assert not file.was_closed


async def test_too_much_sound_is_named_by_what_the_file_says() -> None:
    with pytest.raises(HttpError, match="5 s of sound") as refused:
        await FileWork(io.BytesIO(wav(TALK)), max_seconds=4).check()
    assert (refused.value.status, refused.value.code) == (413, "audio_too_long")


async def test_too_much_sound_is_named_once_it_is_reached() -> None:
    with pytest.raises(HttpError) as refused:
        await heard(FileWork(io.BytesIO(wav(TALK)), max_seconds=4))
    assert refused.value.status == 413


async def test_the_sound_is_not_kept() -> None:
    """The file is open already; what is added is far from all of its samples."""
    talk = np.tile(TALK, 16)
    work = FileWork(io.BytesIO(wav(talk)), max_seconds=3_600)
    tracemalloc.start()
    assert len(await heard(work)) == 32
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < talk.nbytes / 2
