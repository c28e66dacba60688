"""Test that partials have a bounded cost and a growing text."""

from hypothesis import given
from hypothesis import strategies as st

from asr.recognizer import Hypothesis
from streaming.partials import FIRST_FACTOR, MAX_WINDOW, MIN_WINDOW, REST_FACTOR, Partials

SECOND = 16_000
INTERVAL = SECOND // 2


def middle(low: int, high: int) -> int:
    return (low + high) // 2


def middle_of_words(low: int, high: int) -> int:
    return middle(low, high) // INTERVAL * INTERVAL


def say(start: int, end: int) -> Hypothesis:
    """Return a word for each half second, named after its position."""
    return Hypothesis(" ".join(f"w{at // INTERVAL}" for at in range(start, end - INTERVAL + 1, INTERVAL)))


def test_next_partial_is_due_an_interval_later_and_sooner_before_the_first_text() -> None:
    partials = Partials(0, due=INTERVAL)
    assert partials.next_range(INTERVAL, INTERVAL, middle) == (0, INTERVAL)
    assert partials.due == INTERVAL + INTERVAL // FIRST_FACTOR
    partials.update(0, INTERVAL, Hypothesis(""))
    partials.next_range(partials.due, INTERVAL, middle)
    assert partials.due == 2 * INTERVAL
    partials.update(0, 2 * INTERVAL, Hypothesis("good"))
    partials.next_range(2 * INTERVAL, INTERVAL, middle)
    assert partials.due == 3 * INTERVAL


def test_next_partial_waits_in_proportion_to_the_last() -> None:
    partials = Partials(0, due=INTERVAL)
    partials.next_range(INTERVAL, INTERVAL, middle)
    partials.result_received(INTERVAL + 100)
    assert partials.due <= 2 * INTERVAL  # the recognizer was fast
    partials.next_range(2 * INTERVAL, INTERVAL, middle)
    partials.result_received(4 * INTERVAL)
    assert partials.due > (4 + 2 * REST_FACTOR) * INTERVAL - 1
    assert partials.due <= (4 + 2 * REST_FACTOR) * INTERVAL


@given(st.integers(1, 120))
def test_cost_of_a_partial_is_bounded_and_no_word_missing(seconds: int) -> None:
    partials = Partials(0, due=INTERVAL)
    shown = None
    for position in range(INTERVAL, seconds * SECOND + 1, INTERVAL):
        start, end = partials.next_range(position, INTERVAL, middle_of_words)
        assert end - start <= MAX_WINDOW + INTERVAL
        shown = partials.update(start, end, say(start, end)) or shown
    assert shown is not None
    words = shown[0].split()
    assert words == [f"w{n}" for n in range(len(words))]
    assert len(words) >= seconds * 2 - 2 * MIN_WINDOW // INTERVAL


def test_unbounded_partials_cover_the_whole_utterance() -> None:
    partials = Partials(0, due=0)
    assert partials.next_range(60 * SECOND, INTERVAL, None) == (0, 60 * SECOND)


def test_result_older_than_the_shown_one_is_ignored() -> None:
    partials = Partials(0, due=0)
    assert partials.update(0, 2 * SECOND, Hypothesis("good morning")) == ("good morning", 0)
    assert partials.update(0, SECOND, Hypothesis("good")) is None


def test_result_for_an_old_window_is_ignored() -> None:
    partials = Partials(0, due=0)
    start, end = partials.next_range(12 * SECOND, INTERVAL, middle)
    assert partials.update(start, end, say(start, end)) is None  # kept, not shown
    assert partials.update(SECOND, 13 * SECOND, Hypothesis("lost")) is None
    text, _ = partials.update(end, 13 * SECOND, say(end, 13 * SECOND)) or ("", 0)
    assert text.split() == say(0, 13 * SECOND).text.split()


def test_kept_part_is_requested_until_it_has_a_result() -> None:
    partials = Partials(0, due=0)
    first = partials.next_range(12 * SECOND, INTERVAL, middle)
    assert partials.next_range(13 * SECOND, INTERVAL, middle) == first
    partials.update(*first, say(*first))
    assert partials.next_range(14 * SECOND, INTERVAL, middle) == (first[1], 14 * SECOND)


def test_empty_result_shows_nothing() -> None:
    assert Partials(0, due=0).update(0, SECOND, Hypothesis("")) is None


def test_stable_words_are_remembered() -> None:
    partials = Partials(0, due=0)
    partials.update(0, SECOND, Hypothesis("good mourning"))
    assert partials.stable == []
    shown = partials.update(0, 2 * SECOND, Hypothesis("good mourning all of"))
    assert shown == ("good mourning all of", len("good mourning"))
    assert partials.stable == ["good", " mourning"]


def test_settled_words_of_the_recognizer_are_stable_at_once() -> None:
    partials = Partials(0, due=0)
    assert partials.update(0, SECOND, Hypothesis("good morning a", stable_chars=0)) == ("good morning a", 0)
    assert partials.update(0, 2 * SECOND, Hypothesis("good morning all", stable_chars=12)) == (
        "good morning all",
        len("good morning"),
    )


def test_kept_words_are_not_stable_either_if_no_word_is() -> None:
    partials = Partials(0, due=0)
    assert partials.next_range(12 * SECOND, SECOND, lambda start, end: 8 * SECOND) == (0, 8 * SECOND)
    assert partials.update(0, 8 * SECOND, Hypothesis("good morning", stable_chars=0)) is None
    for second in (12, 13):
        said = Hypothesis("all of you", stable_chars=0)
        shown = partials.update(8 * SECOND, second * SECOND, said)
        assert shown == ("good morning all of you", 0)
    assert partials.stable == []
