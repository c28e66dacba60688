"""Test where the segments of a file begin and end, given the detector's probabilities."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from audio.clip import HOP
from vad.file_segmenter import FileSegmenter
from vad.options import VadOptions
from vad.segmenter import TAIL_HOPS, Endpoint, Reason, Segmenter

SPEECH, SILENCE = 0.9, 0.1
PREFIX = 4_800
TAIL = TAIL_HOPS * HOP
SECOND = 16_000

Runs = list[tuple[bool, int]]


def middle(low: int, high: int) -> int:
    return (low + high) // 2


def options(seconds: float = 4, pause_ms: int = 3_000, silence_ms: int = 300) -> VadOptions:
    """Return options with the longest segment in seconds."""
    return VadOptions(max_segment_ms=round(seconds * 1000), pause_ms=pause_ms, silence_ms=silence_ms)


def segments(runs: Runs, given: VadOptions, kind: type[Segmenter] = FileSegmenter) -> list[Endpoint]:
    """Return the segments of runs of speech (True) or silence, each so many hops, up to the end."""
    segmenter = kind(given, middle)
    found = []
    for is_speech in itertools.chain.from_iterable([is_speech] * hops for is_speech, hops in runs):
        decision = segmenter.feed(SPEECH if is_speech else SILENCE)
        found += [decision] if isinstance(decision, Endpoint) else []
    end = segmenter.close(segmenter.position, Reason.END_OF_STREAM)
    return found + ([end] if end else [])


def test_short_silences_do_not_end_a_segment() -> None:
    (whole,) = segments([(True, 10), (False, 30), (True, 10), (False, 50), (True, 10)], options(30))
    assert whole == Endpoint(0, 110 * HOP, Reason.END_OF_STREAM)


def test_long_silence_ends_a_segment() -> None:
    runs = [(True, 10), (False, 2_900), (True, 10)]
    first, second = segments(runs, options(30))
    assert first == Endpoint(0, 10 * HOP + TAIL, Reason.SILENCE)
    assert second.start == 2_910 * HOP - PREFIX


def test_segment_is_cut_at_its_longest_silence() -> None:
    """Of 125 hops the second half counts: the silence of 20 hops before it does not."""
    runs = [(True, 20), (False, 20), (True, 40), (False, 4), (True, 10), (False, 15), (True, 60)]
    first, second = segments(runs, options(4))
    assert first == Endpoint(0, 94 * HOP + TAIL, Reason.MAX_DURATION)
    assert second.start == 109 * HOP - PREFIX


def test_silence_in_the_first_half_is_better_than_none() -> None:
    first, second = segments([(True, 20), (False, 2), (True, 120)], options(4))
    assert first == Endpoint(0, 21 * HOP, Reason.MAX_DURATION)
    assert second.start == first.end


def test_speech_without_silence_is_cut_at_a_quiet_place() -> None:
    first, second = segments([(True, 200)], options(4))
    assert first.reason is Reason.MAX_DURATION
    assert second.start == first.end


def test_silence_at_the_limit_may_be_the_longest() -> None:
    first, second = segments([(True, 50), (False, 5), (True, 60), (False, 50), (True, 10)], options(4))
    assert first == Endpoint(0, 115 * HOP + TAIL, Reason.MAX_DURATION)
    assert second.start == 165 * HOP - PREFIX


def test_clicks_do_not_prolong_a_segment() -> None:
    clicks = [(True, 1), (False, 40)] * 20
    first, second = segments([(True, 10), (False, 40), *clicks, (True, 10)], options(30))
    assert first == Endpoint(0, 10 * HOP + TAIL, Reason.SILENCE)
    assert second.start >= 850 * HOP


def test_short_word_after_a_pause_belongs_to_the_segment() -> None:
    (whole,) = segments([(True, 10), (False, 40), (True, 3), (False, 40)], options(30))
    assert whole.end == 53 * HOP + TAIL


def test_clicks_alone_make_no_segment() -> None:
    assert segments([(False, 40), (True, 1)] * 20 + [(False, 40)], options(30)) == []


runs_of_speech = st.lists(st.tuples(st.booleans(), st.integers(1, 130)), max_size=40)
some_options = st.builds(
    options, st.floats(4, 10), st.integers(300, 3_000), st.sampled_from([32, 160, 300, 500])
)


@given(runs_of_speech, some_options)
def test_segments_are_in_order_and_within_the_limit(runs: Runs, given: VadOptions) -> None:
    end = 0
    for segment in segments(runs, given):
        assert end <= segment.start < segment.end
        assert segment.end - segment.start <= given.max_segment_ms * SECOND // 1000
        end = segment.end


@given(runs_of_speech, some_options)
def test_no_speech_is_lost_that_a_live_stream_would_find(runs: Runs, given: VadOptions) -> None:
    live = VadOptions(max_segment_ms=given.max_segment_ms, silence_ms=given.silence_ms)
    covered = {hop for each in segments(runs, given) for hop in range(each.start // HOP, -(-each.end // HOP))}
    flags = list(itertools.chain.from_iterable([is_speech] * hops for is_speech, hops in runs))
    for each in segments(runs, live, Segmenter):
        heard = {
            hop for hop in range(each.start // HOP, -(-each.end // HOP)) if hop < len(flags) and flags[hop]
        }
        assert heard <= covered


@given(runs_of_speech, some_options)
def test_cuts_are_in_silence_unless_there_is_none(runs: Runs, given: VadOptions) -> None:
    flags = list(itertools.chain.from_iterable([is_speech] * hops for is_speech, hops in runs))
    for each in segments(runs, given):
        if each.reason is Reason.MAX_DURATION and flags[(each.end - 1) // HOP]:
            inside = flags[each.start // HOP : each.end // HOP]
            spoken = list(itertools.accumulate(inside))  # an utterance begins with three hops of speech
            assert all(is_speech or hops < 3 for is_speech, hops in zip(inside, spoken, strict=True))


@given(runs_of_speech, some_options)
def test_silence_inside_a_segment_is_shorter_than_the_pause(runs: Runs, given: VadOptions) -> None:
    flags = list(itertools.chain.from_iterable([is_speech] * hops for is_speech, hops in runs))
    for each in segments(runs, given):
        inside = flags[-(-each.start // HOP) : each.end // HOP]
        silences = [len(list(run)) for is_speech, run in itertools.groupby(inside) if not is_speech]
        assert max(silences, default=0) < max(given.pause_hops, PREFIX // HOP + TAIL_HOPS)
