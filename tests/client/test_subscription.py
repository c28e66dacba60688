"""Requested events and events that the program receives."""

from client.events import Acknowledged, ConnectionInterrupted, Created, Event, Marker, Resumed, SessionClosed
from client.subscription import NEEDED, Subscription

CREATED = Created("s", {}, {})
OWN: list[Event] = [CREATED, Acknowledged(1), ConnectionInterrupted(1006, ""), Resumed("s", 1, 0)]


def test_internal_subscriptions_are_hidden_from_the_program() -> None:
    subscription = Subscription(False, needs=True)
    assert subscription.query() == {"events": ",".join(NEEDED)}
    assert not any(map(subscription.wants, OWN))
    assert subscription.wants(Marker("a"))
    assert subscription.wants(SessionClosed(1, 1, 0, 0, 0))


def test_all_events_are_passed_on_if_requested() -> None:
    for subscription in (Subscription(True, needs=True), Subscription("all", needs=False)):
        assert subscription.query() == {"events": "all"}
        assert all(map(subscription.wants, OWN))


def test_named_events_are_passed_on() -> None:
    subscription = Subscription(["session.created", "session.resumed"], needs=True)
    assert subscription.query() == {
        "events": "session.created,session.resumed,input_audio_buffer.acknowledged"
    }
    assert [subscription.wants(event) for event in OWN] == [True, False, True, True]


def test_a_change_keeps_what_the_library_needs() -> None:
    subscription = Subscription(True, needs=True)
    assert subscription.change(["transcript.partial"]) == ["transcript.partial", *NEEDED]
    assert not subscription.wants(CREATED)
    assert subscription.change("all") == "all"
    assert subscription.wants(CREATED)


def test_without_resume_nothing_is_asked_for_silently() -> None:
    assert Subscription(False, needs=False).query() == {}
    assert Subscription(["marker"], needs=False).query() == {"events": "marker"}
