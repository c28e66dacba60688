"""How long no word has been heard."""

from server.listen_gap import Gap


def test_the_gap_is_told_once_when_it_is_long_enough() -> None:
    gap = Gap(100)
    assert gap.begin(0) is None
    assert gap.conclude(500) is None
    assert [gap.reach(at) for at in (550, 599, 600, 700)] == [None, None, 500, None]


def test_the_next_utterance_ends_the_gap() -> None:
    gap = Gap(100)
    gap.begin(0)
    gap.conclude(500)
    assert gap.begin(560) is None
    assert gap.reach(900) is None
    assert gap.conclude(850) is None
    assert gap.reach(950) == 850


def test_an_utterance_without_words_does_not_end_it() -> None:
    gap = Gap(100)
    gap.begin(0)
    gap.conclude(500)
    gap.begin(560)
    assert gap.reach(700) is None
    assert gap.conclude(None) == 500


def test_a_text_that_comes_late_finds_its_gap_all_the_same() -> None:
    gap = Gap(100)
    gap.begin(0)
    gap.begin(800)
    gap.reach(900)
    assert gap.conclude(500) == 500


def test_where_nothing_was_said_there_is_nothing_to_tell() -> None:
    gap = Gap(100)
    gap.begin(0)
    assert gap.conclude(None) is None
    assert gap.reach(10_000) is None


def test_who_did_not_ask_is_told_nothing() -> None:
    gap = Gap(None)
    gap.begin(0)
    gap.conclude(500)
    assert gap.reach(10_000) is None
