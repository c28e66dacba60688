"""Test the parts of bench.accuracy.recognizers, and an engine with the dummy recognizer."""

import numpy as np
import pytest

from audio.clip import SAMPLE_RATE, Clip
from bench.accuracy.engines import EngineRun, own_engine
from bench.accuracy.recognizers import Candidate, ReferenceSegment, measure, ratios, row

SEGMENTS = [ReferenceSegment(Clip(np.zeros(5 * SAMPLE_RATE, np.float32)), "hello world") for _ in range(4)]


class Scripted:
    """Simulate an engine that takes a second per batch, and record the batch sizes."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def __call__(self, size: int) -> EngineRun:
        self.sizes.append(size)
        return EngineRun(len(SEGMENTS) / size, 0.5, ["hello word"] * len(SEGMENTS))


def candidate(engine: str, run: Scripted) -> Candidate:
    return Candidate("tiny", engine, "float32", 1, True, run)


def test_every_round_goes_through_all_engines_and_the_first_does_not_count() -> None:
    mine, other = Scripted(), Scripted()
    runs = measure([candidate("ours", mine), candidate("other", other)], [1, 4], rounds=3)
    assert mine.sizes == other.sizes == [1, 4] * 4
    assert {key: len(found) for key, found in runs.items()} == {(0, 1): 3, (1, 1): 3, (0, 4): 3, (1, 4): 3}


def test_a_row_has_seconds_for_each_segment() -> None:
    engine = Scripted()
    found = row(candidate("ours", engine), 4, [engine(4)], SEGMENTS)
    assert found["s_per_segment"] == pytest.approx(0.25)
    assert found["rtfx"] == pytest.approx(20)
    assert (found["wer"], found["words"]) == (50.0, 8)


def test_ratios_compare_our_largest_batch_with_the_others() -> None:
    engine = Scripted()
    crew = [candidate(name, engine) for name in ("ours", "other")]
    rows = [row(one, size, [engine(size)], SEGMENTS) for one in crew for size in (1, 4)]
    assert [found["elapsed"] for found in ratios(rows).values()] == [4.0, 4.0, 1.0]
    assert [found["cpu"] for found in ratios(rows).values()] == [1.0, 1.0, 1.0]


def test_ours_with_a_short_context_is_ours_too() -> None:
    engine = Scripted()
    rows = [row(candidate(name, engine), 4, [engine(4)], SEGMENTS) for name in ("ours", "ours short")]
    assert [each.partition(" / ")[2] for each in ratios(rows)] == [
        "ours short float32 at 4",
        "ours float32 at 4",
    ]


def test_a_row_has_the_spread_of_its_runs() -> None:
    runs = [EngineRun(seconds, seconds / 2, ["hello world"] * len(SEGMENTS)) for seconds in (4.0, 2.0, 8.0)]
    found = row(candidate("ours", Scripted()), 1, runs, SEGMENTS)
    assert (found["least"], found["s_per_segment"], found["most"]) == (0.5, 1.0, 2.0)
    assert (found["cpu_least"], found["cpu_s_per_segment"]) == (0.25, 0.5)


def test_our_engine_answers_for_every_clip() -> None:
    engine = own_engine("free", [each.clip for each in SEGMENTS], device="cpu", dtype="float32", threads=1)
    run = engine(3)
    assert len(run.texts) == len(SEGMENTS)
    assert run.seconds >= 0
