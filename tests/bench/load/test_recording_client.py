"""What a stream told, kept with its times."""

import client
from bench.load.recording_client import RecordingClient


def test_the_beginning_of_an_item_its_first_partial_and_its_final_are_timed() -> None:
    listener = RecordingClient()
    listener.hear(client.SpeechStarted("1", 0), 50)
    listener.hear(client.Partial("a", "1", 0, 0), 100)
    listener.hear(client.Partial("a b", "1", 0, 1), 200)
    listener.hear(client.Final("a b c", "1", 0, 900, "silence", 1), 300)
    assert (listener.started_ms, listener.first_partial_ms, listener.final_ms) == (
        {"1": 50},
        {"1": 100},
        {"1": 300},
    )
    assert [partial.text for partial in listener.partials["1"]] == ["a", "a b"]


def test_errors_and_the_end_are_kept_and_the_rest_is_not() -> None:
    listener = RecordingClient()
    listener.hear(client.SpeechStopped("1", 90), 100)
    listener.hear(client.Error("out of luck"), 200)
    closed = client.SessionClosed(1000, 500, 500, 0, 1)
    listener.hear(closed, 300)
    assert (listener.errors, listener.closed, listener.finals) == (["out of luck"], closed, [])
