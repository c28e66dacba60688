"""Test that probabilities are found by their position in the stream."""

from hypothesis import given
from hypothesis import strategies as st

from audio.clip import HOP
from streaming.speech_probabilities import MIN_DROPPED_HOPS, SpeechProbabilities


def numbered(hops: int) -> list[float]:
    return [float(n) for n in range(hops)]


def test_range_includes_every_overlapping_hop() -> None:
    heard = SpeechProbabilities()
    heard.values.extend(numbered(10))
    assert list(heard.read(2 * HOP, 4 * HOP)) == [2.0, 3.0]
    assert list(heard.read(2 * HOP + 1, 4 * HOP + 1)) == [2.0, 3.0, 4.0]
    assert list(heard.read(9 * HOP, 20 * HOP)) == [9.0]


@given(st.lists(st.integers(0, 100), max_size=20), st.integers(0, 50))
def test_kept_hops_are_found_after_others_are_forgotten(sizes: list[int], back: int) -> None:
    heard, hops = SpeechProbabilities(), 0
    for size in sizes:
        heard.values.extend([float(hops + n) for n in range(size)])
        hops += size
        oldest = max(0, hops - back)
        heard.forget(oldest * HOP)
        assert list(heard.read(oldest * HOP, hops * HOP)) == [float(n) for n in range(oldest, hops)]
        assert len(heard.values) < back + MIN_DROPPED_HOPS + 1
