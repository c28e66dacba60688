"""Test the spans of an utterance, their attributes, and their export to a collector."""

import gzip
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import numpy as np
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from asr.recognizer import Hypothesis, RecognitionRequest
from audio.clip import Clip
from batching.batcher import BatchedItem
from server.observability.tracing import SessionTrace, Tracer
from streaming.events import (
    AudioCleared,
    FinalTranscript,
    StreamClosed,
    TranscriptionFailed,
    UtteranceEnded,
    UtteranceStarted,
)
from streaming.utterance import TaskKind
from tests.server.live_server import ROOT, Client, dones, first_sentence, free_settings, serve
from vad.segmenter import Reason

CLIP = Clip(np.zeros(16_000, np.float32), 16_000)


class Yard:
    """Keep the spans of a tracer."""

    def __init__(self) -> None:
        self._memory = InMemorySpanExporter()
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self._memory))
        self.tracer = Tracer(provider)

    def session(self) -> SessionTrace:
        trace = self.tracer.session("5f1c", "NativeEndpoint")
        assert trace is not None
        return trace

    def spans(self) -> dict[str, ReadableSpan]:
        return {span.name: span for span in self._memory.get_finished_spans()}


def batch(kind: TaskKind) -> list[BatchedItem]:
    return [BatchedItem(kind, 0.25, RecognitionRequest(CLIP, utterance="5f1c/1"))]


def parent(span: ReadableSpan) -> int:
    assert span.parent is not None
    return span.parent.span_id


def seconds(span: ReadableSpan) -> float:
    assert span.start_time is not None
    assert span.end_time is not None
    return (span.end_time - span.start_time) / 1e9


def test_utterance_has_spans_of_speech_and_transcription() -> None:
    yard = Yard()
    session = yard.session()
    session.event_sent(UtteranceStarted(1, 16_000))
    session.event_sent(UtteranceEnded(1, 32_000, Reason.SILENCE))
    yard.tracer.batch(batch(TaskKind.FINAL), 0.5)
    session.event_sent(FinalTranscript(1, CLIP, Reason.SILENCE, Hypothesis("a secret")))
    session.event_sent(StreamClosed(48_000, 16_000, 32_000, 0, 1))
    session.end()
    spans = yard.spans()
    assert spans.keys() == {"session", "utterance", "speech", "queue", "transcription"}
    whole, utterance = spans["session"].context, spans["utterance"].context
    assert whole is not None
    assert utterance is not None
    assert parent(spans["utterance"]) == whole.span_id
    for name in ("speech", "queue", "transcription"):
        assert parent(spans[name]) == utterance.span_id
    assert (seconds(spans["queue"]), seconds(spans["transcription"])) == (0.25, 0.5)
    assert spans["queue"].end_time == spans["transcription"].start_time
    assert spans["transcription"].attributes == {"stt.kind": "final", "stt.batch.items": 1}
    assert spans["speech"].attributes == {"stt.end_ms": 2_000, "stt.reason": "silence"}
    told = spans["session"].attributes
    assert told is not None
    assert (told["stt.received_ms"], told["stt.speech_ms"], told["stt.dropped_ms"]) == (3_000, 1_000, 0)
    assert "secret" not in "".join(span.to_json() for span in spans.values())


def test_partials_and_other_sessions_have_no_spans() -> None:
    yard = Yard()
    session = yard.session()
    session.event_sent(UtteranceStarted(1, 0))
    yard.tracer.batch(batch(TaskKind.PARTIAL), 0.5)
    yard.tracer.batch([BatchedItem(TaskKind.FINAL, 0.0, RecognitionRequest(CLIP, utterance="else/1"))], 0.5)
    assert yard.spans() == {}


def test_failed_and_dropped_utterances_are_marked() -> None:
    yard = Yard()
    session = yard.session()
    session.event_sent(UtteranceStarted(1, 0))
    session.event_sent(UtteranceEnded(1, 16_000, Reason.COMMIT))
    session.event_sent(TranscriptionFailed(1, 0, 16_000, "a secret"))
    failed = yard.spans()["utterance"]
    assert not failed.status.is_ok
    assert "secret" not in failed.to_json()
    session.event_sent(UtteranceStarted(2, 16_000))
    session.event_sent(AudioCleared(16_000, 32_000))
    dropped = yard.spans()["utterance"].attributes
    assert dropped is not None
    assert dropped["stt.cleared"] is True


def test_utterances_of_channels_have_spans_of_their_own() -> None:
    yard = Yard()
    session = yard.session()
    for channel in (0, 1):
        session.event_sent(UtteranceStarted(1, 0, channel=channel))
    of_second = RecognitionRequest(CLIP, utterance="5f1c_1/1")
    yard.tracer.batch([BatchedItem(TaskKind.FINAL, 0.0, of_second)], 0.5)
    session.event_sent(AudioCleared(0, 16_000, channel=0))
    cleared = yard.spans()["utterance"]
    assert cleared.attributes is not None
    assert (cleared.attributes["stt.channel"], cleared.attributes["stt.cleared"]) == (0, True)
    session.event_sent(UtteranceEnded(1, 16_000, Reason.COMMIT, channel=1))
    session.event_sent(FinalTranscript(1, CLIP, Reason.COMMIT, Hypothesis("a"), channel=1))
    ended = yard.spans()["utterance"]
    assert ended.attributes is not None
    assert ended.attributes["stt.channel"] == 1
    assert ended.context is not None
    assert parent(yard.spans()["transcription"]) == ended.context.span_id


def test_open_spans_end_with_the_session() -> None:
    yard = Yard()
    session = yard.session()
    session.event_sent(UtteranceStarted(1, 0))
    session.end()
    spans = yard.spans()
    assert spans.keys() == {"session", "utterance", "speech"}
    assert spans["utterance"].attributes is not None
    assert spans["utterance"].attributes["stt.cut_off"] is True


def test_unsampled_session_creates_no_spans() -> None:
    tracer = Tracer(TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False))
    assert tracer.session("5f1c", "NativeEndpoint") is None


# To a collector


@contextmanager
def collector() -> Iterator[tuple[str, list[ExportTraceServiceRequest]]]:
    """Run a collector; yield its address, and the requests to its path of traces."""
    requests: list[ExportTraceServiceRequest] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            body = gzip.decompress(body) if self.headers["content-encoding"] == "gzip" else body
            assert self.path == "/v1/traces"
            requests.append(ExportTraceServiceRequest.FromString(body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", requests
        finally:
            server.shutdown()
            thread.join()


def test_server_exports_spans_to_the_collector() -> None:
    with collector() as (address, requests):
        with serve(free_settings(trace_endpoint=address)) as server, Client(server.ws) as client:
            client.talk(first_sentence())
            (final,) = dones(client.end())
        spans = [
            span
            for request in requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]
        names = {span.name for span in spans}
        assert names == {"session", "utterance", "speech", "queue", "transcription"}
        assert len({span.trace_id for span in spans}) == 1
        service = requests[0].resource_spans[0].resource.attributes
        assert ("service.name", "stt-server") in {(each.key, each.value.string_value) for each in service}
        assert final["transcript"]
        assert not any(final["transcript"].encode() in request.SerializeToString() for request in requests)


@pytest.mark.slow
def test_missing_tracing_packages_are_named() -> None:
    code = "import sys; sys.modules['opentelemetry'] = None; import main; main.read_settings()"
    environment = os.environ | {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318",
        "PYTHONPATH": str(ROOT),
    }
    ended = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60
    )
    assert ended.returncode == 2
    assert "traces need the packages of the extra `trace`" in ended.stderr


@pytest.mark.slow
def test_tracing_is_not_imported_unless_used() -> None:
    code = (
        "import sys; from server.settings import Settings; from server.app import create_app\n"
        "create_app(Settings(_env_file=None))\n"
        "print({'opentelemetry.sdk', 'server.observability.tracing'} & sys.modules.keys())"
    )
    environment = {k: v for k, v in os.environ.items() if not k.startswith("OTEL")} | {
        "PYTHONPATH": str(ROOT)
    }
    ended = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60
    )
    assert ended.stdout.strip() == "set()", ended.stderr
