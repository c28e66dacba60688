"""Partials: bounded in cost, growing in what they show."""

from hypothesis import given
from hypothesis import strategies as st

from asr.recognizer import Hypothesis
from streaming.partials import MAX_WINDOW, MIN_WINDOW, REST_FACTOR, Partials

SECOND = 16_000
INTERVAL = SECOND // 2


def middle(low: int, high: int) -> int:
    return (low + high) // 2


def middle_of_words(low: int, high: int) -> int:
    return middle(low, high) // INTERVAL * INTERVAL


def say(start: int, end: int) -> Hypothesis:
    """A word for each half second, named after its place."""
    return Hypothesis(" ".join(f"w{at // INTERVAL}" for at in range(start, end - INTERVAL + 1, INTERVAL)))


def test_the_next_partial_is_due_an_interval_after_the_last() -> None:
    partials = Partials(0, due=INTERVAL)
    assert partials.due > INTERVAL - 1
    assert partials.due <= INTERVAL
    assert partials.next_range(INTERVAL, INTERVAL, middle) == (0, INTERVAL)
    assert partials.due > 2 * INTERVAL - 1


def test_the_next_partial_waits_by_how_long_the_last_one_took() -> None:
    partials = Partials(0, due=INTERVAL)
    partials.next_range(INTERVAL, INTERVAL, middle)
    partials.result_received(INTERVAL + 100)
    assert partials.due <= 2 * INTERVAL  # it was quick
    partials.next_range(2 * INTERVAL, INTERVAL, middle)
    partials.result_received(4 * INTERVAL)
    assert partials.due > (4 + 2 * REST_FACTOR) * INTERVAL - 1
    assert partials.due <= (4 + 2 * REST_FACTOR) * INTERVAL


@given(st.integers(1, 120))
def test_a_long_utterance_costs_no_more_per_partial_and_shows_every_word(seconds: int) -> None:
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


def test_a_recognizer_to_which_length_costs_nothing_hears_all_of_it() -> None:
    partials = Partials(0, due=0)
    assert partials.next_range(60 * SECOND, INTERVAL, None) == (0, 60 * SECOND)


def test_an_answer_that_a_later_one_has_overtaken_shows_nothing() -> None:
    partials = Partials(0, due=0)
    assert partials.update(0, 2 * SECOND, Hypothesis("good morning")) == ("good morning", 0)
    assert partials.update(0, SECOND, Hypothesis("good")) is None


def test_an_answer_for_a_window_that_has_moved_on_shows_nothing() -> None:
    partials = Partials(0, due=0)
    start, end = partials.next_range(12 * SECOND, INTERVAL, middle)
    assert partials.update(start, end, say(start, end)) is None  # kept, not shown
    assert partials.update(SECOND, 13 * SECOND, Hypothesis("lost")) is None
    text, _ = partials.update(end, 13 * SECOND, say(end, 13 * SECOND)) or ("", 0)
    assert text.split() == say(0, 13 * SECOND).text.split()


def test_a_part_that_is_to_be_kept_is_asked_for_until_it_is_answered() -> None:
    partials = Partials(0, due=0)
    first = partials.next_range(12 * SECOND, INTERVAL, middle)
    assert partials.next_range(13 * SECOND, INTERVAL, middle) == first
    partials.update(*first, say(*first))
    assert partials.next_range(14 * SECOND, INTERVAL, middle) == (first[1], 14 * SECOND)


def test_nothing_is_shown_of_an_empty_answer() -> None:
    assert Partials(0, due=0).update(0, SECOND, Hypothesis("")) is None


def test_what_was_shown_as_stable_is_remembered_as_told() -> None:
    partials = Partials(0, due=0)
    partials.update(0, SECOND, Hypothesis("good mourning"))
    assert partials.stable == []
    shown = partials.update(0, 2 * SECOND, Hypothesis("good mourning all of"))
    assert shown == ("good mourning all of", len("good mourning"))
    assert partials.stable == ["good", " mourning"]


def test_words_that_the_recognizer_itself_has_settled_are_stable_at_once_and_no_others() -> None:
    partials = Partials(0, due=0)
    assert partials.update(0, SECOND, Hypothesis("good morning a", stable_chars=0)) == ("good morning a", 0)
    assert partials.update(0, 2 * SECOND, Hypothesis("good morning all", stable_chars=12)) == (
        "good morning all",
        len("good morning"),
    )
