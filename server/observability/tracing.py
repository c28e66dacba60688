"""Trace each utterance through the server as OpenTelemetry spans, for a collector (OTLP over HTTP).

This module is imported only if tracing is on, because it needs the extra `trace`. Spans hold times,
positions, counts and reasons, and neither texts nor audio. A thread of the SDK sends them from a bounded
queue; spans that do not fit are dropped.
"""

import time
from collections.abc import Sequence
from typing import Final

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import Span, StatusCode, set_span_in_context

from asr.recognizer import RecognitionRequest
from audio.clip import ms_from_samples
from batching.batcher import BatchedItem
from streaming.events import (
    AudioCleared,
    Event,
    FinalTranscript,
    StreamClosed,
    TranscriptionFailed,
    UtteranceEnded,
    UtteranceStarted,
)
from streaming.utterance import TaskKind

PATH: Final = "/v1/traces"  # from the OTLP specification; follows the collector's address
SEND_SECONDS: Final = 5.0
NANOSECONDS: Final = 1_000_000_000

_Utterance = tuple[int | None, int]  # the channel, None if channels are mixed, and the number


def send_to(endpoint: str, share: float) -> TracerProvider:
    """Return a provider that sends spans to a collector.

    endpoint: URL of the collector
    share: fraction of the sessions that are traced, 0 to 1
    """
    resource = Resource({SERVICE_NAME: "stt-server"}).merge(OTELResourceDetector().detect())
    provider = TracerProvider(
        sampler=ParentBased(TraceIdRatioBased(share)), resource=resource, shutdown_on_exit=False
    )
    url = endpoint if endpoint.endswith(PATH) else endpoint.rstrip("/") + PATH
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(url, timeout=SEND_SECONDS)))
    return provider


class Tracer:
    """Make the spans of one server, and the spans of the batches inside those of their utterances."""

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("stt-server")
        self._utterances: dict[str, Span] = {}  # open ones, by the name that their recognition requests have

    def session(self, name: str, endpoint: str) -> "SessionTrace | None":
        """Begin the trace of a session; return None if this session is not traced."""
        span = self._tracer.start_span("session", attributes={"stt.session": name, "stt.endpoint": endpoint})
        return SessionTrace(self, name, span) if span.is_recording() else None

    def batch(self, batch: Sequence[BatchedItem], seconds: float) -> None:
        """Add spans for a batch of a recognizer that has just finished.

        seconds: how long the batch took
        """
        if not self._utterances:
            return
        now = time.time_ns()
        began = now - int(seconds * NANOSECONDS)
        for taken in batch:
            assert isinstance(taken.item, RecognitionRequest)
            span = self._utterances.get(taken.item.utterance)
            if span is None or taken.priority == TaskKind.PARTIAL:
                continue
            posted = began - int(taken.waited * NANOSECONDS)
            kind = TaskKind(taken.priority).name.lower()
            self.child(span, "queue", posted).end(began)
            work = self.child(span, "transcription", began)
            work.set_attributes({"stt.kind": kind, "stt.batch.items": len(batch)})
            work.end(now)

    def child(self, parent: Span, name: str, start: int | None = None) -> Span:
        return self._tracer.start_span(name, set_span_in_context(parent), start_time=start)

    def open(self, name: str, span: Span) -> None:
        self._utterances[name] = span

    def close(self, name: str) -> None:
        span = self._utterances.pop(name, None)
        if span is not None:
            span.end()

    def stop(self) -> None:
        """Send the remaining spans; block until the collector has them, for at most SEND_SECONDS."""
        self._provider.shutdown()


class SessionTrace:
    """Make the spans of one session.

    Each utterance has a span from its onset until its final is sent. Inside it are spans for the speech, the
    wait in the queue and the transcription.
    """

    def __init__(self, tracer: Tracer, name: str, span: Span) -> None:
        self._tracer = tracer
        self._name = name
        self._span = span
        self._open: dict[_Utterance, Span] = {}
        self._speech: dict[_Utterance, Span] = {}  # of utterances that are being spoken, one in each channel

    def event_sent(self, event: Event) -> None:
        if isinstance(event, UtteranceStarted):
            self._start(event)
        elif isinstance(event, UtteranceEnded):
            ended: dict[str, str | int] = {
                "stt.end_ms": ms_from_samples(event.at),
                "stt.reason": event.reason,
            }
            self._stop_speech(_utterance_of(event), ended)
        elif isinstance(event, FinalTranscript):
            length = ms_from_samples(len(event.clip.samples))
            self._end(_utterance_of(event), {"stt.audio_ms": length, "stt.eager": event.eager})
        elif isinstance(event, TranscriptionFailed):
            self._end(_utterance_of(event), {}, failed=True)
        elif isinstance(event, AudioCleared) and event.end > event.start:
            for utterance in [each for each in self._speech if each[0] == event.channel]:
                self._end(utterance, {"stt.cleared": True})
        elif isinstance(event, StreamClosed):
            sums = ("received", "speech", "non_speech", "dropped")
            self._span.set_attributes({f"stt.{n}_ms": ms_from_samples(getattr(event, n)) for n in sums})

    def end(self) -> None:
        """End the spans that are still open: the session is over. Idempotent."""
        for utterance in list(self._open):
            self._end(utterance, {"stt.cut_off": True})
        self._span.end()

    def _start(self, event: UtteranceStarted) -> None:
        span = self._tracer.child(self._span, "utterance")
        span.set_attributes({"stt.utterance": event.utterance, "stt.start_ms": ms_from_samples(event.at)})
        if event.channel is not None:
            span.set_attribute("stt.channel", event.channel)
        utterance = _utterance_of(event)
        self._open[utterance] = span
        self._speech[utterance] = self._tracer.child(span, "speech")
        self._tracer.open(self._request_name(utterance), span)

    def _stop_speech(self, utterance: _Utterance, attributes: dict[str, str | int]) -> None:
        speech = self._speech.pop(utterance, None)
        if speech is not None:
            speech.set_attributes(attributes)
            speech.end()

    def _end(self, utterance: _Utterance, attributes: dict[str, bool | int], failed: bool = False) -> None:
        span = self._open.pop(utterance, None)
        if span is None:  # its final was sent by an earlier server
            return
        self._stop_speech(utterance, {})
        span.set_attributes(attributes)
        if failed:
            span.set_status(StatusCode.ERROR, "transcription_failed")
        self._tracer.close(self._request_name(utterance))

    def _request_name(self, utterance: _Utterance) -> str:
        """Return the name that the utterance has in requests for recognition."""
        channel, number = utterance
        return f"{self._name}/{number}" if channel is None else f"{self._name}_{channel}/{number}"


def _utterance_of(
    event: UtteranceStarted | UtteranceEnded | FinalTranscript | TranscriptionFailed,
) -> _Utterance:
    return event.channel, event.utterance
