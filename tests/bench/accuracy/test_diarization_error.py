"""Test the diarization error rate on turns whose errors are known."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio.clip import SAMPLE_RATE
from bench.accuracy.diarization_error import DiarizationError, diarization_error
from diarization.turns import Turn


def turn(start: float, end: float, speaker: int) -> Turn:
    return Turn(round(start * SAMPLE_RATE), round(end * SAMPLE_RATE), speaker)


def errors(error: DiarizationError) -> tuple[float, float, float, float]:
    return tuple(round(each, 2) for each in (error.reference, error.missed, error.false, error.confused))  # type: ignore[return-value]


def test_missed_false_and_confused_speech_are_told_apart() -> None:
    reference = [turn(0, 4, 0), turn(4, 8, 1)]
    found = [turn(1, 5, 7), turn(5, 9, 2)]
    assert errors(diarization_error(reference, found)) == (8, 1, 1, 1)
    assert diarization_error(reference, found).rate == pytest.approx(3 / 8)


def test_collar_forgives_errors_at_the_edges() -> None:
    reference = [turn(0, 4, 0), turn(4, 8, 1)]
    found = [turn(0.2, 4.2, 0), turn(4.2, 8.2, 1)]
    assert errors(diarization_error(reference, found)) == (8, 0.2, 0.2, 0.2)
    assert errors(diarization_error(reference, found, 0.25)) == (7, 0, 0, 0)


def test_overlapping_speech_is_scored() -> None:
    reference = [turn(0, 4, 0), turn(2, 4, 1)]
    assert errors(diarization_error(reference, [turn(0, 4, 0)])) == (6, 2, 0, 0)
    assert errors(diarization_error(reference, reference)) == (6, 0, 0, 0)


def test_speakers_are_mapped_one_to_one() -> None:
    reference = [turn(0, 4, 0), turn(4, 8, 0)]
    assert errors(diarization_error(reference, [turn(0, 4, 0), turn(4, 8, 1)])) == (8, 0, 0, 4)


def test_silence_has_no_error() -> None:
    assert diarization_error([], []).rate == 0


@given(
    st.lists(
        st.tuples(st.integers(0, 50), st.integers(1, 20), st.integers(0, 4)).map(
            lambda each: turn(each[0], each[0] + each[1], each[2])
        ),
        max_size=10,
    ),
    st.permutations(range(5)),
)
def test_renamed_speakers_have_no_error(turns: list[Turn], names: list[int]) -> None:
    renamed = [Turn(each.start, each.end, names[each.speaker]) for each in turns]
    error = diarization_error(turns, renamed)
    assert (error.missed, error.false, error.confused) == (0, 0, 0)
