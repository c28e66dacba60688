"""Log what becomes of a session, and count it. Neither text nor audio is logged."""

import logging

from audio.clip import ms_from_samples
from server.errors import ClientError
from server.observability.metrics import Metrics
from streaming.events import (
    ChannelEvent,
    Event,
    FinalTranscript,
    NoteReached,
    StreamClosed,
    TranscriptionFailed,
)

log = logging.getLogger(__name__)


class SessionLog:
    """Log and count the events of one session."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def event(self, event: Event) -> None:
        """Log an event that is about to be sent."""
        self._metrics.observe_event(event)
        utterance = getattr(event, "utterance", None)
        if isinstance(event, ChannelEvent) and event.channel is not None:
            utterance = f"{event.channel}_{utterance}"  # as in the ids that clients see
        about = {"utterance": utterance}
        if isinstance(event, FinalTranscript):
            start_ms, end_ms = ms_from_samples(event.clip.start), ms_from_samples(event.clip.end)
            line = "final.sent utterance=%s start_ms=%d end_ms=%d reason=%s"
            log.info(line, utterance, start_ms, end_ms, event.reason, extra=about)
            if event.guard is not None:
                change = "refused" if event.is_rejected else "shortened"
                line = f"final.{change} utterance=%s guard=%s"
                log.info(line, utterance, event.guard, extra=about)
        elif isinstance(event, TranscriptionFailed):
            log.error("utterance.failed utterance=%s reason=%r", utterance, event.message, extra=about)
        elif isinstance(event, NoteReached) and isinstance(event.note, ClientError):  # sent at its place
            self.error(event.note)
        elif isinstance(event, StreamClosed):
            log.info(
                "session.closed received=%d speech=%d non_speech=%d dropped=%d segments=%d",
                event.received,
                event.speech,
                event.non_speech,
                event.dropped,
                event.segments,
            )

    def error(self, error: ClientError) -> None:
        """Log an error that is sent to the client."""
        self._metrics.errors.labels(error.code).inc()
        log.info("error.sent code=%s message=%r", error.code, error.message)
