"""Test that the log of sent messages is ordered, numbered and bounded."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.connection.message_log import MessageLog


def test_messages_are_numbered_from_one_and_kept_in_order() -> None:
    journal = MessageLog(10)
    assert [journal.append(message) for message in (b"a", b"b", b"c")] == [1, 2, 3]
    assert journal.since(0) == [b"a", b"b", b"c"]
    assert journal.since(2) == [b"c"]
    assert journal.since(3) == []


def test_dropped_and_unsent_messages_raise() -> None:
    journal = MessageLog(2)
    for message in (b"a", b"b", b"c"):
        journal.append(message)
    assert journal.since(1) == [b"b", b"c"]
    for number in (0, 4, -1):
        with pytest.raises(LookupError):
            journal.since(number)


def test_message_above_the_capacity_is_numbered_but_not_kept() -> None:
    journal = MessageLog(2)
    journal.append(b"a")
    assert journal.append(b"long") == 2
    assert journal.since(2) == []
    with pytest.raises(LookupError):
        journal.since(1)


@given(st.lists(st.binary(max_size=9), max_size=40), st.integers(0, 30))
def test_newest_messages_within_the_capacity_are_kept(messages: list[bytes], capacity: int) -> None:
    journal = MessageLog(capacity)
    for message in messages:
        journal.append(message)
        assert journal.size <= capacity
    kept = next(n for n in range(len(messages) + 1) if sum(map(len, messages[n:])) <= capacity)
    assert journal.since(kept) == messages[kept:]
