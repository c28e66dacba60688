"""Test which clip of an open utterance is transcribed next."""

import numpy as np
import pytest

from asr.recognizer import Hypothesis
from audio.clip import Clip
from audio.sample_buffer import SampleBuffer
from streaming.endpointing import AdaptiveSilence
from streaming.options import SessionOptions
from streaming.partials import Partials
from streaming.task_planner import TaskPlanner
from streaming.utterance import TaskKind, Utterance
from tests.streaming.fakes import sound

SECOND = 16_000
PARTIALS = SessionOptions(partials=True, partial_interval=SECOND)


def quietest(low: int, high: int) -> int:
    return (low + high) // 2


class Making:
    """Plan a stream of four seconds with an utterance that is open since sample 1,000."""

    def __init__(self, name: str = "5f1c") -> None:
        buffer = SampleBuffer(100 * SECOND)
        buffer.append(sound((True, 4 * SECOND)))
        self.planner = TaskPlanner(buffer, name)
        self.utterance = Utterance(2, 1_000, Partials(1_000, SECOND))

    def plan(self, pause_end: int | None, judged: int, options: SessionOptions = PARTIALS) -> None:
        self.planner.plan(self.utterance, pause_end, judged, options)

    def take(
        self, judged: int = 2 * SECOND, options: SessionOptions = PARTIALS
    ) -> tuple[TaskKind, int, int] | None:
        """Return the kind of a task, and the range of its clip."""
        job = self.planner.take(self.utterance, judged, options, quietest, None)
        return None if job is None else (job.kind, job.request.clip.start, job.request.clip.end)


@pytest.fixture
def making() -> Making:
    return Making()


def test_final_covers_the_closed_segment() -> None:
    clip = Clip(np.zeros(500, np.float32), 100)
    task = Making().planner.final(Utterance(1, 100, Partials(100, 0), clip=clip), "de")
    assert (task.kind, task.utterance, task.request.clip) == (TaskKind.FINAL, 1, clip)
    assert (task.request.utterance, task.request.partial) == ("5f1c/1", False)
    assert task.request.likely_language == "de"


def test_partial_is_due_after_each_interval_of_speech(making: Making) -> None:
    making.plan(None, SECOND - 1)
    assert making.take(SECOND - 1) is None
    making.plan(None, SECOND)
    assert making.take(SECOND) == (TaskKind.PARTIAL, 1_000, SECOND)
    making.utterance.partials.update(1_000, SECOND, Hypothesis("good"))
    making.plan(None, SECOND * 3 // 2)
    assert making.take(SECOND * 3 // 2) == (TaskKind.PARTIAL, 1_000, SECOND * 3 // 2)
    making.plan(None, SECOND * 5 // 2 - 1)
    assert making.take() is None
    making.plan(None, SECOND * 5 // 2)
    assert making.take() == (TaskKind.PARTIAL, 1_000, 2 * SECOND)


def test_partials_are_less_frequent_if_recognition_is_behind(making: Making) -> None:
    making.plan(None, SECOND)
    making.take(SECOND)
    making.utterance.partials.space_out(2 * SECOND)
    making.plan(None, 2 * SECOND)
    assert making.take(2 * SECOND) is None
    making.plan(None, 3 * SECOND)
    assert making.take(3 * SECOND) is not None


def test_no_partial_is_planned_unless_wanted(making: Making) -> None:
    making.plan(None, SECOND, SessionOptions())
    assert making.take() is None


def test_eager_task_comes_once_a_pause_instead_of_a_partial(making: Making) -> None:
    making.plan(None, SECOND)
    making.plan(5_000, SECOND)
    assert making.utterance.is_eager_pending
    assert making.take() == (TaskKind.EAGER, 1_000, 5_000)
    making.plan(5_000, SECOND)
    assert making.take() is None


def test_eager_task_is_withdrawn_when_speech_resumes(making: Making) -> None:
    making.plan(5_000, SECOND)
    making.plan(None, SECOND // 2)
    assert not making.utterance.is_eager_pending
    assert making.take() is None


@pytest.mark.parametrize(
    ("options", "kinds"),
    [
        (SessionOptions(eager=False), []),
        (SessionOptions(eager=False, turn=AdaptiveSilence()), [TaskKind.EAGER]),
    ],
)
def test_eager_task_is_planned_if_its_text_decides_the_end(
    making: Making, options: SessionOptions, kinds: list[TaskKind]
) -> None:
    making.plan(5_000, SECOND, options)
    taken = making.take(options=options)
    assert ([] if taken is None else [taken[0]]) == kinds


def test_closed_utterance_gets_no_further_tasks(making: Making) -> None:
    making.plan(None, SECOND)
    making.plan(5_000, SECOND)
    making.planner.reset()
    assert making.take() is None


@pytest.mark.parametrize(("name", "utterance"), [("5f1c", "5f1c/2"), ("", "")])
def test_task_has_its_clip_and_the_name_of_its_utterance(name: str, utterance: str) -> None:
    making = Making(name)
    making.plan(None, SECOND)
    job = making.planner.take(making.utterance, SECOND, PARTIALS, quietest, None)
    assert job is not None
    assert (job.request.utterance, job.request.partial, job.utterance) == (utterance, True, 2)
    np.testing.assert_array_equal(job.request.clip.samples, sound((True, 4 * SECOND))[1_000:SECOND])


def test_long_utterance_is_transcribed_in_windows(making: Making) -> None:
    making = Making()
    buffer = SampleBuffer(100 * SECOND)
    buffer.append(sound((True, 12 * SECOND)))
    making.planner = TaskPlanner(buffer, "")
    making.plan(None, 12 * SECOND)
    assert making.take(12 * SECOND) == (TaskKind.PARTIAL, 1_000, quietest(1_000, 12 * SECOND))


def test_partial_prefers_the_language_of_its_utterance(making: Making) -> None:
    likely: list[str | None] = []
    for second, language in enumerate((None, "de"), start=1):
        making.utterance.language = language
        making.plan(None, second * SECOND)
        task = making.planner.take(making.utterance, second * SECOND, PARTIALS, quietest, "en")
        assert task is not None
        likely.append(task.request.likely_language)
    assert likely == ["en", "de"]


def test_eager_final_prefers_the_language_before_its_utterance(making: Making) -> None:
    making.utterance.language = "de"
    making.plan(5_000, SECOND)
    task = making.planner.take(making.utterance, SECOND, PARTIALS, quietest, "en")
    assert task is not None
    assert (task.kind, task.request.likely_language) == (TaskKind.EAGER, "en")
