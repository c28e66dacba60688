"""Repeated replies are dropped."""

from client.events import Cleared, Marker, Updated
from client.reply_dedup import ReplyDedup
from client.send_buffer import SentCommand


def marks(**names: str) -> ReplyDedup:
    replies = ReplyDedup()
    for number, name in names.items():
        replies.expect_marker(SentCommand("marker", number, 0, ""), name)
    return replies


def clears(*places: int) -> ReplyDedup:
    replies = ReplyDedup()
    for position_ms in places:
        replies.expect_clear(SentCommand("input_audio_buffer.clear", "1", position_ms, ""))
    return replies


def is_told(replies: ReplyDedup, *events: Cleared) -> list[bool]:
    return [replies.filter(event) is not None for event in events]


def test_marker_is_reported_once_by_its_name() -> None:
    replies = marks(m1="a", m2="b", m3="a")
    told = [replies.filter(Marker(id)) for id in ("m1", "m1", "m2", "m3", "m2")]
    assert told == [Marker("a"), None, Marker("b"), Marker("a"), None]


def test_repeated_reply_to_a_clear_is_dropped() -> None:
    events = Cleared(100, 300), Cleared(400, 0), Cleared(500, 401), Cleared(900, 0)
    assert is_told(clears(400, 900), *events) == [True, False, True, False]


def test_two_clears_at_one_position_are_reported() -> None:
    events = Cleared(100, 300), Cleared(400, 0), Cleared(400, 0)
    assert is_told(clears(400, 400), *events) == [True, True, False]


def test_clear_at_another_position_is_reported() -> None:
    assert is_told(clears(400, 900), Cleared(300, 0), Cleared(900, 0)) == [True, True]


def test_each_channel_answers_each_clear() -> None:
    replies = ReplyDedup(channels=2)
    replies.expect_clear(SentCommand("input_audio_buffer.clear", "1", 400, ""))
    events = Cleared(100, 300, 1), Cleared(400, 0, 0), Cleared(400, 0, 0), Cleared(400, 0, 1)
    assert is_told(replies, *events) == [True, True, False, False]


def test_other_events_are_passed_on() -> None:
    assert ReplyDedup().filter(Updated({})) == Updated({})
