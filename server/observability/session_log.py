"""Chronicle: what becomes of a session, for the log and the counters."""

import logging

from audio.clip import ms_from_samples
from server.errors import ClientError
from server.observability.metrics import Metrics
from streaming.events import Event, FinalTranscript, NoteReached, StreamClosed, TranscriptionFailed

log = logging.getLogger(__name__)


class SessionLog:
    """Of one session. Texts and sound are in no log."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def event(self, event: Event) -> None:
        """That is about to be told."""
        self._metrics.observe_event(event)
        about = {"utterance": getattr(event, "utterance", None)}
        if isinstance(event, FinalTranscript):
            milliseconds = ms_from_samples(event.clip.start), ms_from_samples(event.clip.end)
            log.info("final %d, %d to %d ms, %s", event.utterance, *milliseconds, event.reason, extra=about)
            if event.guard is not None:
                log.info("final %d: text refused by the guard %s", event.utterance, event.guard, extra=about)
        elif isinstance(event, TranscriptionFailed):
            log.error("utterance %d failed: %s", event.utterance, event.message, extra=about)
        elif isinstance(event, NoteReached) and isinstance(event.note, ClientError):  # told at its place
            self.error(event.note)
        elif isinstance(event, StreamClosed):
            log.info("session ends: %s", event)

    def error(self, error: ClientError) -> None:
        self._metrics.errors.labels(error.code).inc()
        log.info("told the client: %s: %s", error.code, error.message)
