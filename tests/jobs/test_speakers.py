"""Jobs name the speakers of a whole file, which is recognized in parts."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from asr.recognizer import Hypothesis, RecognitionRequest, Word
from audio.clip import Samples
from batching.batcher import BULK
from diarization.chunks import ChunkSpeakers
from diarization.clustering import ANY_NUMBER, SpeakerBounds
from jobs.job import Job, JobOptions, JobSource, JobState, JobTranscript, NewJob, PartText
from jobs.service import JobDatabase, Jobs
from jobs.store import RunLost
from streaming.errors import SpeakersUnavailable
from tests.diarization.voices import RuleClient
from tests.jobs.working import SECOND, ended, uploaded, working
from tests.server.asgi_calls import wav
from tests.streaming.fakes import sound
from tests.streaming.working_models import Recognizer
from transcripts.transcript import TranscriptSegment

FIRST = sound(
    (False, SECOND), (True, 4 * SECOND)
)  # A is loud above zero, B below (tests/diarization/voices.py)
DIALOGUE = np.concatenate([FIRST, -FIRST])
MEETING = np.concatenate([DIALOGUE] * 13 + [sound((False, SECOND))])  # 131 s, more than a part
DIARIZED = JobOptions(speakers=ANY_NUMBER)


class TimedRecognizer(Recognizer):
    """Give each half second a word with times."""

    def transcribe(self, requests: Sequence[RecognitionRequest]) -> list[Hypothesis]:
        super().transcribe(requests)
        return [self._timed(request.clip.start, request.clip.end) for request in requests]

    def _timed(self, start: int, end: int) -> Hypothesis:
        words = [Word(f"w{at}", at, at + SECOND // 2) for at in range(start, end - SECOND // 2, SECOND // 2)]
        return Hypothesis(" ".join(word.text for word in words), tuple(words), language="en")


class Failing(RuleClient):
    """Fail on the first chunk, as if the process of the networks had died, and answer later ones."""

    def __init__(self) -> None:
        super().__init__()
        self.failures = 1

    async def analyse(self, chunk: Samples, /, priority: int = BULK) -> ChunkSpeakers:
        if self.failures:
            self.failures -= 1
            raise SpeakersUnavailable("speakers cannot be distinguished: the process died")
        return await super().analyse(chunk, priority)


def voice_at(place: float) -> str:
    """Return who speaks at a sample of the meeting."""
    return "A" if int(place) % (10 * SECOND) < 5 * SECOND else "B"


def check_voices(segments: Sequence[TranscriptSegment]) -> None:
    """Check the speaker of every word, but of those near a change of the speaker."""
    words = [(word, segment) for segment in segments for word in segment.hypothesis.words]
    assert words
    for word, segment in words:
        middle = (word.start + word.end) / 2
        assert word.speaker == segment.speaker
        if SECOND < middle % (5 * SECOND) < 4.5 * SECOND:
            assert word.speaker == voice_at(middle)


async def transcribed(jobs: Jobs, samples: Samples, options: JobOptions) -> tuple[Job, JobTranscript]:
    done = await ended(jobs, await uploaded(jobs, wav(samples), options))
    return done, await jobs.transcript(done.id)


@pytest.mark.slow
async def test_speakers_are_the_same_in_all_parts(database: JobDatabase) -> None:
    async with working(database, TimedRecognizer(), speakers=RuleClient()) as jobs:
        done, found = await transcribed(jobs, MEETING, DIARIZED)
        assert len(database.store.parts(done.id)) == 2
        _, plain = await transcribed(jobs, MEETING, JobOptions())
    assert (done.state, done.language) == (JobState.SUCCEEDED, "en")
    assert {segment.speaker for segment in found.segments} == {"A", "B"}
    check_voices(found.segments)
    assert {segment.speaker for segment in plain.segments} == {None}
    texts = [" ".join(each.hypothesis.text for each in job.segments) for job in (found, plain)]
    assert texts[0] == texts[1]


async def test_speakers_of_a_trimmed_job_have_the_times_of_the_file(database: JobDatabase) -> None:
    async with working(database, TimedRecognizer(), speakers=RuleClient()) as jobs:
        _, found = await transcribed(jobs, DIALOGUE, JobOptions(start=2.5, speakers=ANY_NUMBER))
    assert {segment.speaker for segment in found.segments} == {"A", "B"}
    check_voices(found.segments)


async def test_bounds_of_the_number_of_speakers_are_kept(database: JobDatabase) -> None:
    options = JobOptions(speakers=SpeakerBounds(1, 1))
    async with working(database, TimedRecognizer(), speakers=RuleClient()) as jobs:
        _, found = await transcribed(jobs, DIALOGUE, options)
    assert {segment.speaker for segment in found.segments} == {"A"}


@pytest.mark.slow
@pytest.mark.parametrize("end", [None, 9.5])
async def test_failed_search_for_speakers_repeats_no_part(database: JobDatabase, end: float | None) -> None:
    recognizer = TimedRecognizer()
    options = replace(DIARIZED, end=end)
    async with working(database, recognizer, speakers=Failing()) as jobs:
        done, found = await transcribed(jobs, DIALOGUE, options)
    assert (done.state, done.language, done.problem) == (JobState.SUCCEEDED, "en", None)
    assert sum(recognizer.batches) == 2
    assert done.seconds_done == (end or 10.0)
    check_voices(found.segments)


@pytest.mark.parametrize(
    ("model", "code"), [(None, "unsupported_value"), (RuleClient(broken=True), "failed_repeatedly")]
)
async def test_job_fails_early_without_a_model_of_speakers(
    database: JobDatabase, model: RuleClient | None, code: str
) -> None:
    recognizer = TimedRecognizer()
    async with working(database, recognizer, speakers=model) as jobs:
        done, _ = await transcribed(jobs, DIALOGUE, DIARIZED)
    assert done.problem is not None
    assert (done.problem.code, recognizer.batches) == (code, [])


def test_lost_run_stores_no_speakers(database: JobDatabase) -> None:
    store = database.store
    plain = TranscriptSegment(0, 9, Hypothesis("so it is"))
    job = store.submit(NewJob("ann", JobSource(name="a", audio="00-1", size=1)))[0]
    run = store.begin(job.id, JobState.TRANSCRIBING)
    assert run is not None
    store.complete_part(run, 0, 10, [plain], 0.1)
    store.begin(job.id, JobState.TRANSCRIBING)
    with pytest.raises(RunLost):
        store.succeed(run, segments=[[replace(plain, speaker="A")]])
    assert store.parts(job.id) == [PartText((plain,))]
