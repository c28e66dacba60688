"""Jobs that transcribe the channels of a file apart."""

import asyncio
import io
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from asr.recognizer import Hypothesis, RecognitionRequest
from engine.file_transcriber import MAX_CHANNELS, FileTranscriber
from jobs.job import Job, JobOptions, JobProblem, JobState, JobTranscript
from jobs.options import JobsOptions
from jobs.service import JobDatabase, Jobs
from jobs.work_queue import Work
from streaming.options import SessionOptions
from tests.jobs.test_worker import Unsure
from tests.jobs.working import SECOND, TALK, ended, runner_of, uploaded, working
from tests.server.asgi_calls import interleaved, wav
from tests.streaming.fakes import FEW_GUARDS, sound
from tests.streaming.working_models import HeldRecognizer, Recognizer, models
from tests.waiting import until
from transcripts.transcript import TranscriptSegment

APART = JobOptions(multichannel=True)
TURN = 10 * SECOND
# Two speakers take turns, each in a channel, for 160 s: the file has two parts.
FIRST = sound(*((True, SECOND), (False, 2 * TURN - SECOND)) * 8)
SECOND_ONE = sound(
    (False, TURN), *((True, SECOND), (False, 2 * TURN - SECOND)) * 7, (True, SECOND), (False, 9 * SECOND)
)
CALL = interleaved(FIRST, SECOND_ONE)


@pytest.fixture
def local(tmp_path: Path) -> Iterator[JobDatabase]:
    """Return an empty database in a file."""
    with closing(JobDatabase(JobsOptions(tmp_path))) as found:
        yield found


def places(segments: Sequence[TranscriptSegment]) -> list[tuple[int, str | None, str]]:
    """Return the second, the speaker and the text of each segment."""
    return [(round(each.start / SECOND), each.speaker, each.hypothesis.text) for each in segments]


async def transcribed(jobs: Jobs, data: bytes, options: JobOptions = APART) -> JobTranscript:
    done = await ended(jobs, await uploaded(jobs, data, options))
    return await jobs.transcript(done.id)


async def test_channels_are_speakers_in_all_parts(database: JobDatabase) -> None:
    seen: list[Job] = []
    async with working(database) as jobs:
        job = await uploaded(jobs, CALL, APART)
        async for change in jobs.watch(job.id):
            assert all(segment.speaker in ("A", "B") for segment in change.segments)
            seen.append(change.job)
        found = await jobs.transcript(job.id)
    assert len(database.store.parts(job.id)) == 2
    assert [(second, speaker) for second, speaker, _ in places(found.segments)] == [
        (turn * 10, "AB"[turn % 2]) for turn in range(16)
    ]
    progress = [each.seconds_done for each in seen]
    assert progress == sorted(progress)
    assert (seen[-1].state, seen[-1].seconds_done, seen[-1].channels) == (JobState.SUCCEEDED, 160.0, 2)
    assert database.store.audio_seconds("ann", 0.0) == 320.0


async def test_texts_are_those_of_a_request(local: JobDatabase) -> None:
    call = interleaved(TALK, sound((True, SECOND), (False, 4 * SECOND)))
    async with working(local) as jobs:
        found = await transcribed(jobs, call)
    direct = FileTranscriber(io.BytesIO(call), multichannel=True)
    await direct.check()
    async with models() as clients:
        async for _ in direct.transcribe(clients, SessionOptions(guards=FEW_GUARDS)):
            pass
    assert places(found.segments) == places(direct.transcript("", "").segments)
    assert len(found.segments) == 3


class HeldLater(HeldRecognizer):
    """Answer so many requests at once, and later ones when the gate is open."""

    def __init__(self, at_once: int) -> None:
        super().__init__()
        self._left = at_once

    def transcribe(self, requests: Sequence[RecognitionRequest]) -> list[Hypothesis]:
        self._left -= len(requests)
        return Recognizer.transcribe(self, requests) if self._left >= 0 else super().transcribe(requests)


async def test_interrupted_run_repeats_one_part_at_most(local: JobDatabase) -> None:
    jobs, held, second = Jobs(local), HeldLater(13), Recognizer()
    job = await uploaded(jobs, CALL, APART)
    async with models(held) as clients:
        run = asyncio.create_task(runner_of(local, clients).run(job.id, Work.TRANSCRIBE))
        await until(lambda: len(local.store.parts(job.id)) == 1)
        run.cancel()
        held.gate.set()
        await asyncio.gather(run, return_exceptions=True)
    first = places((await jobs.transcript(job.id)).segments)
    async with models(second) as clients:
        await runner_of(local, clients).run(job.id, Work.TRANSCRIBE)
        found = places((await jobs.transcript(job.id)).segments)
        again = await uploaded(jobs, CALL, APART)
        assert sum(second.batches) == len(found) - len(first)
        await runner_of(local, clients).run(again.id, Work.TRANSCRIBE)
    assert found == places((await jobs.transcript(again.id)).segments)
    assert found[: len(first)] == first
    assert len(found) == 16


async def test_languages_of_channels_are_apart(local: JobDatabase) -> None:
    async with working(local, Unsure(*(["vi"] + [None] * 5), *(["en"] + [None] * 5), *[None] * 4)) as jobs:
        found = await transcribed(jobs, CALL)
    spoken = {(each.speaker, each.hypothesis.language) for each in found.segments}
    assert spoken == {("A", "vi"), ("B", "en")}


async def test_file_with_one_channel_has_one_speaker(local: JobDatabase) -> None:
    async with working(local) as jobs:
        found = await transcribed(jobs, wav(TALK))
    assert (found.job.channels, [each.speaker for each in found.segments]) == (1, ["A", "A"])


async def test_too_many_channels_fail(local: JobDatabase) -> None:
    async with working(local) as jobs:
        found = await transcribed(jobs, wav(TALK, channels=MAX_CHANNELS + 1))
    message = "The audio has 9 channels; at most 8 can be kept apart"
    assert found.job.problem == JobProblem("too_many_channels", message)
