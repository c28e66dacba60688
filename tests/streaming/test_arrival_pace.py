"""The pace compares the audio that arrived with the clock."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio.clip import SAMPLE_RATE
from streaming.arrival_pace import MAX_AHEAD_SECONDS, ArrivalPace


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def pace_after(elapsed: float) -> ArrivalPace:
    """Return the pace of a stream that began so many seconds ago."""
    clock = Clock()
    pace = ArrivalPace(clock)
    clock.now += elapsed
    return pace


def samples(seconds: float) -> int:
    return round(seconds * SAMPLE_RATE)


@pytest.mark.parametrize(
    ("elapsed", "heard", "ahead"),
    [
        (0, 4.9, False),
        (0, 5.1, True),
        (10, 15, False),
        (10, 15.3, True),
        (3600, 3604, False),
        (3600, 0, False),
    ],
)
def test_stream_is_ahead_with_more_audio_than_was_spoken(elapsed: float, heard: float, ahead: bool) -> None:
    assert pace_after(elapsed).is_ahead(samples(heard)) is ahead


@given(st.floats(0, 1e5), st.floats(0.99, 1.01), st.floats(0, MAX_AHEAD_SECONDS - 0.01))
def test_microphone_with_clock_drift_is_never_ahead(elapsed: float, drift: float, before: float) -> None:
    assert not pace_after(elapsed).is_ahead(samples(drift * elapsed + before))


@pytest.mark.parametrize(
    ("elapsed", "heard", "unjudged", "lag"),
    [
        (10, 10, 0, 0),
        (10, 10, 2, 2),  # spoken in real time: all that waits is late
        (10, 12, 2, 0),  # judged up to now, and ahead
        (10, 11, 2, 1),
        (60, 10, 0.5, 0.5),  # it was silent before: no more is late than waits
    ],
)
def test_lag_is_the_spoken_audio_that_is_unjudged(
    elapsed: float, heard: float, unjudged: float, lag: float
) -> None:
    assert pace_after(elapsed).lag(samples(heard), samples(unjudged)) == pytest.approx(lag)
