"""Test that a session is logged and counted, without its text."""

import logging

import numpy as np
import pytest

from asr.recognizer import Hypothesis
from audio.clip import Clip
from server.errors import ClientError
from server.observability.metrics import Metrics
from server.observability.session_log import SessionLog
from streaming.events import (
    Event,
    FinalTranscript,
    NoteReached,
    PartialTranscript,
    StreamClosed,
    TranscriptionFailed,
)
from vad.segmenter import Reason

CLIP = Clip(np.zeros(16_000, np.float32), 8_000)
REFUSED = ClientError("invalid_value", "`id` must be a string.", param="id")


def told(caplog: pytest.LogCaptureFixture, *events: Event) -> tuple[list[str], str]:
    """Return the lines of the log, and the metrics."""
    caplog.set_level(logging.INFO)
    metrics = Metrics()
    chronicle = SessionLog(metrics)
    for event in events:
        chronicle.event(event)
    return [record.getMessage() for record in caplog.records], metrics.text().decode()


def test_final_is_logged_without_its_text(caplog: pytest.LogCaptureFixture) -> None:
    lines, metrics = told(caplog, FinalTranscript(3, CLIP, Reason.COMMIT, Hypothesis("a secret")))
    assert lines == ["final.sent utterance=3 start_ms=500 end_ms=1500 reason=commit"]
    assert 'stt_finals_total{reason="commit"} 1.0' in metrics


def test_utterance_of_a_channel_is_logged_as_in_its_id(caplog: pytest.LogCaptureFixture) -> None:
    lines, _ = told(caplog, TranscriptionFailed(2, 0, 100, "why", channel=1))
    assert lines == ["utterance.failed utterance=1_2 reason='why'"]


def test_rejected_text_is_logged_with_its_guard(caplog: pytest.LogCaptureFixture) -> None:
    lines, metrics = told(
        caplog, FinalTranscript(3, CLIP, Reason.SILENCE, Hypothesis("a secret"), guard="rate")
    )
    assert lines[1:] == ["final.refused utterance=3 guard=rate"]
    assert 'stt_guarded_segments_total{guard="rate"} 1.0' in metrics


def test_failure_is_logged_with_its_reason(caplog: pytest.LogCaptureFixture) -> None:
    lines, metrics = told(caplog, TranscriptionFailed(2, 0, 100, "RuntimeError: out of memory"))
    assert lines == ["utterance.failed utterance=2 reason='RuntimeError: out of memory'"]
    assert caplog.records[0].levelname == "ERROR"
    assert 'stt_errors_total{code="transcription_failed"} 1.0' in metrics


def test_noted_error_is_counted_when_it_is_sent(caplog: pytest.LogCaptureFixture) -> None:
    lines, metrics = told(caplog, NoteReached(REFUSED, 0), NoteReached("something else", 0))
    assert lines == ["error.sent code=invalid_value message='`id` must be a string.'"]
    assert 'stt_errors_total{code="invalid_value"} 1.0' in metrics


def test_sums_are_logged_at_the_end(caplog: pytest.LogCaptureFixture) -> None:
    lines, _ = told(caplog, PartialTranscript(1, 0, "a secret", 8), StreamClosed(30, 10, 15, 5, 1))
    assert lines == ["session.closed received=30 speech=10 non_speech=15 dropped=5 segments=1"]
