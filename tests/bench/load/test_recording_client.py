"""Test that the events of a stream are recorded with their times."""

import client
from bench.load.recording_client import RecordingClient


def test_the_beginning_of_an_item_its_first_partial_and_its_final_are_timed() -> None:
    receiver = RecordingClient()
    receiver.receive(client.SpeechStarted("1", 0), 50)
    receiver.receive(client.Partial("a", "1", 0, 0), 100)
    receiver.receive(client.Partial("a b", "1", 0, 1), 200)
    receiver.receive(client.Final("a b c", "1", 0, 900, "silence", 1), 300)
    assert (receiver.started_ms, receiver.first_partial_ms, receiver.final_ms) == (
        {"1": 50},
        {"1": 100},
        {"1": 300},
    )
    assert [partial.text for partial in receiver.partials["1"]] == ["a", "a b"]


def test_errors_and_the_end_are_kept_and_the_rest_is_not() -> None:
    receiver = RecordingClient()
    receiver.receive(client.SpeechStopped("1", 90), 100)
    receiver.receive(client.Error("something failed"), 200)
    closed = client.SessionClosed(1000, 500, 500, 0, 1)
    receiver.receive(closed, 300)
    assert (receiver.errors, receiver.closed, receiver.finals) == (["something failed"], closed, [])
