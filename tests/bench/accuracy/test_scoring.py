"""Test the score of finals against known utterances."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.accuracy.scoring import Score, ScoredTranscript, count_doubled, percentile, score, summary
from bench.load.message_tape import Label

SAID = [(Label(1000, 2000), True), (Label(4000, 6000), True)]


def final(number: int, start: float, end: float, arrival: float, reason: str = "silence") -> ScoredTranscript:
    return ScoredTranscript(f"item_{number}", start, end, arrival, reason)


ONE, TWO = final(1, 700, 2100, 2.4), final(2, 3700, 6100, 6.5)


def test_latency_counts_from_the_true_end_of_speech() -> None:
    result = score(SAID, [ONE, TWO], {})
    assert [end_ms for end_ms, _ in result.finals] == [2000, 6000]
    assert [latency for _, latency in result.finals] == pytest.approx([400, 500])
    assert (result.utterances, result.lost, result.doubled, result.split, result.strays) == (2, 0, 0, 0, 0)


def test_the_first_partial_counts_from_the_true_start() -> None:
    assert score(SAID, [ONE, TWO], {"item_1": 1.6}).partials == [pytest.approx(600)]


def test_the_first_partial_counts_from_the_first_word_where_it_is_known() -> None:
    said = [(Label(1000, 2000, first_word_ms=1150), True), SAID[1]]
    found = score(said, [ONE, TWO], {"item_1": 1.6, "item_2": 4.5})
    assert found.partials == pytest.approx([600, 500])
    assert found.partials_after_word == pytest.approx([450])


def test_an_utterance_without_a_final_is_lost() -> None:
    assert score(SAID, [ONE], {}).lost == 1


def test_an_utterance_whose_final_covers_little_of_it_is_lost() -> None:
    assert score(SAID, [ONE, final(2, 5500, 6100, 6.5)], {}).lost == 1


def test_an_utterance_in_pieces_is_split_and_its_last_piece_counts() -> None:
    result = score(SAID, [ONE, final(2, 3700, 5000, 5.3), final(3, 5000, 6100, 6.5)], {})
    assert (result.split, result.lost, result.doubled) == (1, 0, 0)
    assert result.finals[1][1] == pytest.approx(500)


def test_a_final_twice_and_finals_that_overlap_are_doubled() -> None:
    assert count_doubled([ONE, ONE]) == 1
    assert count_doubled([ONE, final(2, 1500, 2500, 3.0)]) == 1
    assert count_doubled([ONE, final(2, 2100, 2500, 3.0)]) == 0
    assert count_doubled([TWO, ONE]) == 0


def test_a_final_over_no_speech_is_a_stray() -> None:
    assert score(SAID, [ONE, final(2, 2500, 3000, 3.3), TWO], {}).strays == 1


def test_an_incomplete_utterance_requires_no_final() -> None:
    said = [(Label(-500, 700), False), *SAID]
    assert score(said, [ONE, TWO], {}).lost == 0
    assert score(said, [final(0, 0, 650, 1.0), ONE, TWO], {}).strays == 0


def test_a_final_that_waited_for_no_silence_gives_no_latency() -> None:
    result = score(SAID, [ONE, final(2, 3700, 6100, 6.0, "end_of_stream")], {})
    assert (len(result.finals), result.lost) == (1, 0)


def test_scores_add_up() -> None:
    total = Score()
    for _ in range(3):
        total.add(score(SAID, [ONE], {"item_1": 1.6}))
    assert (total.utterances, total.lost, len(total.finals), len(total.partials)) == (6, 3, 3, 3)


@settings(deadline=None)
@given(
    st.lists(st.floats(-1e6, 1e6, allow_nan=False), min_size=1, max_size=200),
    st.sampled_from([0, 50, 95, 99, 100]),
)
def test_a_percentile_is_numpys(values: list[float], percent: float) -> None:
    assert percentile(values, percent) == pytest.approx(float(np.percentile(values, percent)), abs=1e-6)


def test_a_summary_of_nothing_holds_no_numbers() -> None:
    assert summary([]) == {"n": 0, "p50": None, "p95": None, "p99": None, "max": None}
    assert summary([1.0, 2.0, 3.0])["p50"] == 2.0
