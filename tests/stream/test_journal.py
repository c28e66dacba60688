"""The journal: ordered, numbered, bounded."""

import pytest

from stream.journal import Journal


def test_events_are_numbered_from_one_and_given_back_in_order() -> None:
    journal: Journal[str] = Journal(10)
    assert [journal.append(event) for event in "abc"] == [1, 2, 3]
    assert journal.since(0) == [(1, "a"), (2, "b"), (3, "c")]
    assert journal.since(2) == [(3, "c")]
    assert journal.since(3) == []


def test_asking_for_what_is_forgotten_or_was_never_told_is_an_error() -> None:
    journal: Journal[str] = Journal(2)
    for event in "abc":
        journal.append(event)
    assert journal.since(1) == [(2, "b"), (3, "c")]
    for number in (0, 4):
        with pytest.raises(LookupError):
            journal.since(number)
