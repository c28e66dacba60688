"""Messages that are sent again after a broken connection."""

from itertools import groupby

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.errors import ProtocolError
from client.events import Acknowledged, Error, Marker, Updated
from client.packetizer import Packet, SampleFormat
from client.send_buffer import Item, SendBuffer, SentCommand

ENCODING = SampleFormat()


def packet(start: int, end: int) -> Packet:
    audio = b"".join(ms.to_bytes(ENCODING.bytes_of(1)) for ms in range(start, end))
    return Packet(audio, ENCODING, start, end)


def command(at: int, type: str = "input_audio_buffer.commit", id: str = "1") -> SentCommand:
    return SentCommand(type, id, at, f"{type} {id}")


def filled(*items: Item, sent: int | None = None) -> SendBuffer:
    """sent: how many of them; all if it is not said."""
    backlog = SendBuffer(1 << 20)
    for item in items:
        backlog.add(item)
    for _ in range(len(items) if sent is None else sent):
        backlog.next()
    return backlog


def rest(backlog: SendBuffer) -> list[Item]:
    return list(iter(backlog.next, None))


def test_items_are_sent_once_and_in_order() -> None:
    items: list[Item] = [packet(0, 20), command(20), packet(20, 40)]
    assert rest(filled(*items, sent=0)) == items
    assert rest(filled(*items)) == []


def test_unreceived_items_are_sent_again() -> None:
    backlog = filled(packet(0, 20), command(20), packet(20, 40), packet(40, 60), sent=3)
    backlog.rewind(0)
    assert rest(backlog) == [packet(0, 20), command(20), packet(20, 40), packet(40, 60)]
    backlog.rewind(40)
    assert rest(backlog) == [packet(40, 60)]


def test_a_command_exactly_there_is_sent_again() -> None:
    backlog = filled(packet(0, 20), command(20), packet(20, 40), command(40))
    backlog.rewind(20)
    assert rest(backlog) == [command(20), packet(20, 40), command(40)]
    backlog.rewind(40)
    assert rest(backlog) == [command(40)]


@pytest.mark.parametrize(
    ("answer", "left"),
    [
        (Updated({}), [command(20, "marker", "2"), command(20, id="3")]),
        (Marker("2"), [command(20, id="3")]),
        (Error("no", event_id="3"), []),
        (Error("no", event_id="of others"), [command(20, "session.update"), command(20, "marker", "2")]),
    ],
)
def test_a_command_whose_reply_names_it_is_not_sent_again(
    answer: Updated | Marker | Error, left: list[Item]
) -> None:
    update, marker, commit = command(20, "session.update"), command(20, "marker", "2"), command(20, id="3")
    backlog = filled(packet(0, 20), update, marker, commit)
    backlog.acknowledge(answer)
    backlog.rewind(20)
    assert rest(backlog)[: len(left)] == left


def test_a_command_that_the_server_has_counted_is_not() -> None:
    items: list[Item] = [
        packet(0, 20),
        command(20, id="1"),
        command(20, id="2"),
        packet(20, 40),
        command(40, id="3"),
    ]
    backlog = filled(*items)
    backlog.rewind(20, 1)
    assert rest(backlog) == items[2:]
    backlog.rewind(40, 2)
    assert rest(backlog) == items[4:]
    backlog.rewind(40, 3)
    assert rest(backlog) == []


def test_rest_of_a_packet_is_sent_again() -> None:
    backlog = filled(packet(0, 20), packet(20, 40))
    backlog.rewind(30)
    assert rest(backlog) == [packet(30, 40)]
    assert backlog.size == packet(30, 40).size


def test_acknowledged_items_free_capacity() -> None:
    backlog = SendBuffer(1000)
    for start in range(0, 40, 20):
        backlog.add(packet(start, start + 20))
        backlog.next()
    assert not backlog.has_capacity
    backlog.acknowledge(Acknowledged(20))
    assert backlog.has_capacity
    assert backlog.size == packet(20, 40).size


def test_without_resume_only_unsent_items_are_kept() -> None:
    backlog = filled(packet(0, 20), packet(20, 40), sent=1)
    backlog.stop_keeping(1000)
    assert backlog.size == packet(20, 40).size
    assert backlog.next() == packet(20, 40)
    assert backlog.size == 0


def test_rewind_before_acknowledged_audio_raises() -> None:
    backlog = filled(packet(0, 20), packet(20, 40))
    backlog.acknowledge(Acknowledged(20))
    with pytest.raises(ProtocolError):
        backlog.rewind(10)


def updates(items: list[Item]) -> int:
    """Return the number of settings messages."""
    return sum(isinstance(item, SentCommand) and item.type == "session.update" for item in items)


STEPS = st.lists(st.integers(1, 40) | st.sampled_from(["marker", "session.update", "commit"]), max_size=30)
CUTS = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12), st.integers(0, 12)), max_size=8)


@given(STEPS, CUTS)
def test_everything_arrives_once_if_commands_are_counted(
    steps: list[int | str], cuts: list[tuple[int, int, int]]
) -> None:
    items: list[Item] = []
    for step in steps:
        at, number = (
            (items[-1].end_ms if items else 0),
            sum(isinstance(item, SentCommand) for item in items) + 1,
        )
        items.append(packet(at, at + step) if isinstance(step, int) else command(at, step, str(number)))
    backlog = filled(*items, sent=0)
    arrived: list[Item] = []
    answered = 0  # The reply to an update may come after a cut, when newer updates have been sent.
    for sent, lost, replies in cuts:
        line = [item for _ in range(sent) if (item := backlog.next()) is not None]
        for _ in range(min(replies, updates(arrived) - answered)):
            backlog.acknowledge(Updated({}))
            answered += 1
        arrived += line[: max(0, len(line) - lost)]
        received = max((item.end_ms for item in arrived if isinstance(item, Packet)), default=0)
        backlog.rewind(received, sum(isinstance(item, SentCommand) for item in arrived))
    assert arrived + rest(backlog) == items


@given(STEPS, CUTS)
def test_audio_arrives_once_and_commands_at_their_position(
    steps: list[int | str], cuts: list[tuple[int, int, int]]
) -> None:
    items: list[Item] = []
    for number, step in enumerate(steps):
        at = items[-1].end_ms if items else 0
        items.append(packet(at, at + step) if isinstance(step, int) else command(at, step, str(number)))
    backlog = filled(*items, sent=0)
    arrived: list[Item] = []
    for sent, lost, acknowledged in cuts:
        line = [item for _ in range(sent) if (item := backlog.next()) is not None]
        arrived += line[: max(0, len(line) - lost)]
        received = max((item.end_ms for item in arrived), default=0)
        backlog.acknowledge(Acknowledged(received * acknowledged // 12))
        backlog.rewind(received)
    arrived += rest(backlog)
    assert [item for item in arrived if isinstance(item, Packet)] == [
        item for item in items if isinstance(item, Packet)
    ]
    for is_sound, group in groupby(arrived, lambda item: isinstance(item, Packet)):
        if not is_sound:  # repeated from some place on, and whole in the end
            place = list(group)
            whole = [
                item for item in items if isinstance(item, SentCommand) and item.at_ms == place[0].start_ms
            ]
            assert place[-len(whole) :] == whole
            assert set(place) == set(whole)
    assert {item.id for item in arrived if isinstance(item, SentCommand)} == {
        item.id for item in items if isinstance(item, SentCommand)
    }
