"""Test the silence between the frames of a track."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio.track_clock import JITTER, MAX_GAP, RESTART, TrackClock

FRAME = 0.02  # seconds


def positions(clock: TrackClock, timestamps: list[float]) -> list[float]:
    """Return the position at which each frame begins."""
    position, found = 0.0, []
    for timestamp in timestamps:
        position += clock.gap(timestamp, position)
        found.append(position)
        position += FRAME
    return found


@given(
    st.floats(-1e6, 1e6),
    st.lists(st.floats(0, 100) | st.floats(0, 2 * JITTER), min_size=1, max_size=50),
    st.integers(0, 1_000),
)
def test_frames_are_at_the_time_of_a_player(origin: float, gaps: list[float], seed: int) -> None:
    """Each frame begins at its timestamp, or up to the tolerated jitter after the one before it."""
    timestamps, now = [], origin
    for gap in gaps:
        now += gap
        timestamps.append(now)
        now += FRAME
    for timestamp, position in zip(timestamps, positions(TrackClock(origin), timestamps), strict=True):
        assert timestamp - origin - position == pytest.approx(JITTER / 2, abs=JITTER / 2 + 1e-6)


@given(st.lists(st.floats(-1e12, 1e12), min_size=1, max_size=50))
def test_any_timestamps_keep_all_frames_in_order(timestamps: list[float]) -> None:
    clock = TrackClock(None)
    found = positions(clock, timestamps)
    steps = [after - before for before, after in pairwise(found)]
    assert all(FRAME - 1e-6 <= step <= FRAME + MAX_GAP + 1e-6 for step in steps)
    assert clock.skipped >= 0


@given(st.lists(st.floats(-JITTER / 2, JITTER / 2), min_size=1, max_size=200))
def test_jitter_makes_no_silence(jitter: list[float]) -> None:
    timestamps = [number * FRAME + each for number, each in enumerate(jitter)]
    assert positions(TrackClock(0.0), timestamps)[-1] == pytest.approx((len(jitter) - 1) * FRAME)


def test_time_that_goes_back_continues_at_the_position() -> None:
    timestamps = [5.0, 5.02, 0.0, 0.02, 10.02]
    assert positions(TrackClock(5.0), timestamps) == pytest.approx([0.0, 0.02, 0.04, 0.06, 10.06])


def test_frames_that_overlap_are_played_in_turn() -> None:
    timestamps = [0.0, 0.02, 0.01, 0.03, 2.0]
    assert RESTART > 0.05
    assert positions(TrackClock(0.0), timestamps) == pytest.approx([0.0, 0.02, 0.04, 0.06, 2.0])


def test_a_gap_that_is_too_long_is_skipped_and_counted() -> None:
    clock = TrackClock(0.0)
    assert positions(clock, [0.0, 1e9, 1e9 + 1]) == pytest.approx([0.0, 0.02, 1.02])
    assert clock.skipped == pytest.approx(1e9)


def test_the_first_frame_may_give_the_origin() -> None:
    assert positions(TrackClock(None), [7.0, 9.0]) == pytest.approx([0.0, 2.0])
    assert positions(TrackClock(4.0), [7.0, 9.0]) == pytest.approx([3.0, 5.0])
