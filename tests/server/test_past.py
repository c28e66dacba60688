"""What was told of a session before is known once each, by kind."""

from server.past import Past


def test_so_many_events_of_a_kind_are_known_and_the_next_ones_are_new() -> None:
    past = Past({"Final": 2, "SpeechStarted": 1})
    assert [past.knows("Final") for _ in range(4)] == [True, True, False, False]
    assert [past.knows("SpeechStarted") for _ in range(2)] == [True, False]


def test_a_session_without_a_past_knows_nothing() -> None:
    assert not Past().knows("Final")


def test_what_is_never_told_again_is_never_known() -> None:
    past = Past({"Final": 1})
    assert not past.knows("")
    assert past.knows("Final")


def test_what_was_counted_is_left_as_it_was() -> None:
    told = {"Final": 1}
    Past(told).knows("Final")
    assert told == {"Final": 1}


def test_it_is_over_once_all_that_was_told_has_come_again() -> None:
    past = Past({"Final": 1, "reply": 1})
    over = [past.is_over]
    for kind in ("Final", "SpeechStarted", "reply"):
        past.knows(kind)
        over.append(past.is_over)
    assert over == [False, False, False, True]
    assert Past().is_over
