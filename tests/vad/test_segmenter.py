"""Test where utterances begin and end, given the detector's probabilities."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio.clip import HOP
from vad.options import VadOptions
from vad.segmenter import TAIL_HOPS, Endpoint, Onset, Reason, Segmenter

SPEECH, SILENCE, BETWEEN = 0.9, 0.1, 0.4  # BETWEEN keeps the state it meets


def middle(low: int, high: int) -> int:
    return (low + high) // 2


def segmenter(**options: float) -> Segmenter:
    """Defaults: 96 ms of speech to begin, 320 ms of silence to end, 300 ms of pre-roll."""
    return Segmenter(VadOptions(**options), middle)  # type: ignore[arg-type]


def feed(judge: Segmenter, *probabilities: float) -> list[tuple[int, Onset | Endpoint]]:
    """Return the onsets and endpoints, each with the number of its hop."""
    verdicts = ((n, judge.feed(p)) for n, p in enumerate(probabilities, 1))
    return [(n, verdict) for n, verdict in verdicts if verdict is not None]


def test_silence_makes_nothing() -> None:
    assert feed(segmenter(), *[SILENCE] * 100, *[BETWEEN] * 100) == []


def test_speech_makes_an_onset_as_soon_as_there_is_enough_of_it_with_its_pre_roll() -> None:
    verdicts = feed(segmenter(), *[SILENCE] * 20, *[SPEECH] * 3)
    assert verdicts == [(23, Onset(20 * HOP - 4800))]


def test_the_pre_roll_does_not_reach_before_the_stream() -> None:
    assert feed(segmenter(), *[SPEECH] * 3) == [(3, Onset(0))]


def test_a_sound_shorter_than_min_speech_is_no_utterance() -> None:
    assert feed(segmenter(), *[SILENCE, SPEECH, SPEECH, *[SILENCE] * 10] * 5) == []


def test_speech_that_stops_for_a_moment_adds_up_to_an_onset() -> None:
    assert [n for n, _ in feed(segmenter(), SPEECH, SPEECH, SILENCE, SILENCE, SPEECH)] == [5]


def test_silence_makes_an_endpoint_that_keeps_a_tail_of_it() -> None:
    verdicts = feed(segmenter(), *[SPEECH] * 10, *[SILENCE] * 10)
    assert verdicts[-1] == (20, Endpoint(0, (10 + TAIL_HOPS) * HOP, Reason.SILENCE))


def test_a_pause_shorter_than_the_silence_does_not_end_an_utterance() -> None:
    verdicts = feed(segmenter(), *[*[SPEECH] * 5, *[SILENCE] * 9] * 4)
    assert [type(verdict) for _, verdict in verdicts] == [Onset]


def test_probabilities_between_the_thresholds_neither_begin_nor_end_speech() -> None:
    judge = segmenter()
    assert feed(judge, *[BETWEEN] * 20) == []
    verdicts = feed(judge, *[SPEECH] * 3, *[BETWEEN] * 50)
    assert [type(verdict) for _, verdict in verdicts] == [Onset]


def test_an_utterance_starts_no_earlier_than_the_one_before_it_ended() -> None:
    verdicts = feed(segmenter(), *[SPEECH] * 10, *[SILENCE] * 10, *[SPEECH] * 3)
    (_, first), (_, second) = verdicts[1:]
    assert isinstance(first, Endpoint)
    assert second == Onset(max(first.end, 20 * HOP - 4800))


def test_the_pause_of_an_open_utterance_is_known_before_it_is_an_endpoint() -> None:
    judge = segmenter()
    feed(judge, *[SPEECH] * 10, *[SILENCE] * (TAIL_HOPS - 1))
    assert judge.pause_end is None
    feed(judge, SILENCE)
    assert judge.pause_end == judge.position == (10 + TAIL_HOPS) * HOP
    feed(judge, SILENCE)
    assert judge.pause_end == (10 + TAIL_HOPS) * HOP
    feed(judge, SPEECH)
    assert judge.pause_end is None


def test_a_long_utterance_is_cut_where_it_is_quietest_and_goes_on_from_there() -> None:
    judge = segmenter(max_segment_ms=1000)
    verdicts = feed(judge, *[SPEECH] * 32)
    (_, cut) = verdicts[-1]
    assert cut == Endpoint(0, middle(32 * HOP - 8000, 32 * HOP), Reason.MAX_DURATION)
    assert judge.is_open
    assert isinstance(cut, Endpoint)
    assert judge.start == cut.end


def test_an_utterance_in_a_pause_at_its_limit_ends_there() -> None:
    judge = segmenter(max_segment_ms=1000, silence_ms=2000)
    verdicts = feed(judge, *[SPEECH] * 20, *[SILENCE] * 12)
    assert verdicts[-1] == (32, Endpoint(0, (20 + TAIL_HOPS) * HOP, Reason.MAX_DURATION))
    assert not judge.is_open


def test_closing_ends_the_open_utterance_at_the_very_sample() -> None:
    judge = segmenter()
    feed(judge, *[SPEECH] * 10)
    assert judge.close(10 * HOP + 100, Reason.COMMIT) == Endpoint(0, 10 * HOP + 100, Reason.COMMIT)
    assert judge.close(10 * HOP + 200, Reason.COMMIT) is None


def test_closing_in_a_pause_ends_the_utterance_where_silence_would_have_ended_it() -> None:
    judge = segmenter()
    feed(judge, *[SPEECH] * 10, *[SILENCE] * 5)
    assert judge.close(15 * HOP, Reason.END_OF_STREAM) == Endpoint(0, 13 * HOP, Reason.END_OF_STREAM)


def test_closing_a_candidate_makes_an_utterance_of_it_for_nothing_said_may_be_lost() -> None:
    judge = segmenter()
    feed(judge, SPEECH)
    assert judge.close(HOP, Reason.COMMIT) == Endpoint(0, HOP, Reason.COMMIT)


def test_discarding_names_the_range_that_is_dropped() -> None:
    judge = segmenter()
    assert judge.discard(0) is None
    feed(judge, *[SPEECH] * 10)
    assert judge.discard(10 * HOP + 7) == (0, 10 * HOP + 7)
    assert [verdict for _, verdict in feed(judge, *[SPEECH] * 3)] == [Onset(10 * HOP + 7)]


def test_a_longer_pre_roll_does_not_reach_back_to_what_is_forgotten() -> None:
    judge = segmenter(prefix_ms=32)
    feed(judge, *[SILENCE] * 20)
    forgotten = judge.oldest_needed
    judge.options = VadOptions(prefix_ms=300)
    assert judge.oldest_needed == forgotten
    assert feed(judge, *[SPEECH] * 3) == [(3, Onset(forgotten))]


def test_new_options_take_effect_from_the_next_hop_on() -> None:
    judge = segmenter()
    feed(judge, *[SPEECH] * 10, SILENCE, SILENCE)
    judge.options = VadOptions(silence_ms=96)
    assert [type(verdict) for _, verdict in feed(judge, SILENCE)] == [Endpoint]


@given(
    st.lists(st.tuples(st.sampled_from([SPEECH, SILENCE, BETWEEN]), st.integers(1, 30)), max_size=30),
    st.integers(1_000, 3_000),
    st.integers(0, 2_000),
    st.integers(0, 1_000),
)
def test_segments_are_in_order_do_not_overlap_and_keep_to_their_limit(
    runs: list[tuple[float, int]], max_segment_ms: int, prefix_ms: int, silence_ms: int
) -> None:
    judge = segmenter(max_segment_ms=max_segment_ms, prefix_ms=prefix_ms, silence_ms=silence_ms)
    probabilities = itertools.chain.from_iterable([p] * n for p, n in runs)
    end = 0
    for _, verdict in feed(judge, *probabilities):
        if isinstance(verdict, Endpoint):
            assert end <= verdict.start < verdict.end <= judge.position
            assert verdict.end - verdict.start <= max_segment_ms * 16 + HOP
            end = verdict.end
        else:
            assert end <= verdict.start
    assert judge.oldest_needed >= end


def test_by_hand_an_utterance_begins_at_once_and_ends_only_where_it_is_closed() -> None:
    judge = segmenter(manual=True)
    assert feed(judge, *[SPEECH] * 5, *[SILENCE] * 50) == [(1, Onset(0))]
    assert judge.pause_end is None
    assert judge.close(55 * HOP + 7, Reason.COMMIT) == Endpoint(0, 55 * HOP + 7, Reason.COMMIT)
    assert judge.close(55 * HOP + 9, Reason.COMMIT) is None
    assert feed(judge, SILENCE) == [(1, Onset(55 * HOP + 7))]


@pytest.mark.parametrize("limit", [{}, {"max_manual_ms": 2_000}])
def test_by_hand_an_utterance_is_cut_at_its_own_limit(limit: dict[str, int]) -> None:
    judge = segmenter(manual=True, max_segment_ms=1_000, **limit)
    hops = -(-limit.get("max_manual_ms", 120_000) * 16 // HOP)
    (_, onset), (n, cut) = feed(judge, *[SILENCE] * (hops + 1))
    assert (onset, n) == (Onset(0), hops)
    assert isinstance(cut, Endpoint)
    assert cut.reason is Reason.MAX_DURATION
    assert judge.start == cut.end


def test_silence_counts_from_where_the_hand_lets_go() -> None:
    judge = segmenter(manual=True)
    feed(judge, *[SILENCE] * 50)
    judge.options = VadOptions()
    assert feed(judge, *[SILENCE] * 10) == [(10, Endpoint(0, (50 + TAIL_HOPS) * HOP, Reason.SILENCE))]
