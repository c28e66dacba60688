"""Define the metrics for Prometheus. docs/metrics.md explains them, and a test compares the two."""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from audio.clip import seconds_from_samples
from batching.batcher import BatchedItem
from streaming.events import Event, FinalTranscript, StreamClosed, TranscriptionFailed
from streaming.model_clients import TaskOutcome
from streaming.utterance import TaskKind

HEARTBEAT_SECONDS: Final = 0.010
HEARTBEATS: Final = 50  # until it is asked again whether the server is idle
IDLE_HEARTBEAT_SECONDS: Final = 0.5  # while no client is served, so that the server uses almost no CPU time
MAX_KEY_LABELS: Final = 100
SIZE_BUCKETS: Final = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 128)
WAIT_BUCKETS: Final = (0.001, 0.003, 0.01, 0.03, 0.06, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
STEP_BUCKETS: Final = (0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.25, 0.5, 1.0, 5.0)
LATENCY_BUCKETS: Final = (0.1, 0.2, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6, 0.8, 1.0, 1.5, 2.0, 5.0, 10.0, 30.0, 60.0)
BATCH_BUCKETS: Final = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 2.0, 5.0, 10.0, 30.0)
LAG_BUCKETS: Final = (0.001, 0.002, 0.005, 0.01, 0.015, 0.02, 0.03, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class Metrics:
    """Hold the metrics of one server, in a registry of their own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.requests = self._counter(
            "stt_http_requests_total", "Answered requests under /v1", "path", "status"
        )
        self.ready = Gauge("stt_ready", "1 while /ready answers 200, else 0", registry=self._registry)
        self.keys = Gauge("stt_keys", "Known API keys", registry=self._registry)
        self.key_file_errors = self._counter(
            "stt_key_file_errors_total", "Failed attempts to read the changed key file"
        )
        self.errors = self._counter("stt_errors_total", "Errors sent to clients", "code")
        self._add_sessions()
        self._add_recognition()

    def _add_sessions(self) -> None:
        self.loop_lag = self._histogram(
            "stt_loop_lag_seconds",
            "Delay of a heartbeat on the event loop, in seconds",
            LAG_BUCKETS,
        )
        self._keys_named: set[str] = set()
        self.sessions_total = self._counter("stt_sessions_total", "Admitted sessions", "key")
        self.audio_seconds = self._counter("stt_audio_seconds_total", "Seconds of audio by outcome", "fate")
        self.lost_samples = self._counter("stt_lost_samples_total", "Received samples without an outcome")
        self.finals = self._counter(
            "stt_finals_total", "Finals by the reason why the utterance ended", "reason"
        )
        self.final_latency = self._histogram(
            "stt_final_latency_seconds",
            "Seconds from the arrival of the last speech of an utterance to the sending of its final",
            LATENCY_BUCKETS,
            "reason",
        )
        self.eager_finals = self._counter(
            "stt_eager_finals_total", "Finals whose text was ready when the utterance ended"
        )
        self.guarded_segments = self._counter(
            "stt_guarded_segments_total", "Segments whose text was rejected or shortened, by guard", "guard"
        )

    def _add_recognition(self) -> None:
        self.tasks = self._counter(
            "stt_asr_jobs_total",
            "Recognition tasks by kind and outcome",
            "kind",
            "fate",
        )
        self.batch_size = self._histogram("stt_asr_batch_size", "Recognition tasks in a batch", SIZE_BUCKETS)
        self.waits = self._histogram(
            "stt_asr_wait_seconds",
            "Seconds that a recognition task waited for its batch",
            WAIT_BUCKETS,
            "kind",
        )
        self.batch_seconds = self._histogram(
            "stt_asr_batch_seconds", "Seconds that a recognizer took for a batch", BATCH_BUCKETS
        )
        self.step_seconds = self._histogram(
            "stt_vad_step_seconds", "Seconds that a step of the voice detector took", STEP_BUCKETS
        )
        self.restarts = self._counter("stt_model_restarts_total", "Restarts of a recognizer", "model")

    def _counter(self, name: str, what: str, *labels: str) -> Counter:
        return Counter(name, what, labels, registry=self._registry)

    def _histogram(self, name: str, what: str, buckets: Sequence[float], *labels: str) -> Histogram:
        return Histogram(name, what, labels, buckets=buckets, registry=self._registry)

    def count_session(self, key: str | None) -> None:
        """Count an admitted session.

        key: name of its API key, if it has one. Names after the first MAX_KEY_LABELS are counted as `other`.
        """
        name = key or ""
        if len(self._keys_named) < MAX_KEY_LABELS:
            self._keys_named.add(name)
        self.sessions_total.labels(name if name in self._keys_named else "other").inc()

    def observe_event(self, event: Event) -> None:
        """Count an event of a session."""
        if isinstance(event, FinalTranscript):
            self.finals.labels(event.reason).inc()
            if event.eager:
                self.eager_finals.inc()
            if event.guard is not None:
                self.guarded_segments.labels(event.guard).inc()
        elif isinstance(event, TranscriptionFailed):
            self.errors.labels("transcription_failed").inc()

    def count_audio(self, closed: StreamClosed) -> None:
        """Count the samples of a stream by outcome when it closed."""
        for outcome in ("speech", "non_speech", "dropped"):
            self.audio_seconds.labels(outcome).inc(seconds_from_samples(getattr(closed, outcome)))
        self.lost_samples.inc(abs(closed.received - closed.speech - closed.non_speech - closed.dropped))

    def count_task(self, kind: TaskKind, outcome: TaskOutcome) -> None:
        """Count a recognition task by kind and outcome."""
        self.tasks.labels(kind.name.lower(), outcome).inc()

    def count_restart(self, model: str) -> None:
        """Count a restart of a recognizer."""
        self.restarts.labels(model).inc()

    def observe_batch(self, batch: Sequence[BatchedItem]) -> None:
        """Record the size of a batch and how long its tasks waited, in seconds."""
        self.batch_size.observe(len(batch))
        for item in batch:
            self.waits.labels(TaskKind(item.priority).name.lower()).observe(item.waited)

    def observe_step(self, step: Sequence[BatchedItem], seconds: float) -> None:
        """Record the duration of a step of the detector, in seconds."""
        self.step_seconds.observe(seconds)

    def gauge(self, name: str, what: str, read: Callable[[], float]) -> None:
        """Add a gauge whose value `read` returns whenever the metrics are written out."""
        Gauge(name, what, registry=self._registry).set_function(read)

    def text(self) -> bytes:
        """Return the metrics in the text exposition format, version 0.0.4."""
        return generate_latest(self._registry)

    async def heartbeat(self, is_idle: Callable[[], bool]) -> None:
        """Measure the lag of the event loop until cancelled.

        is_idle: returns whether no client is served; the lag is measured rarely then
        """
        while True:
            seconds, beats = (IDLE_HEARTBEAT_SECONDS, 1) if is_idle() else (HEARTBEAT_SECONDS, HEARTBEATS)
            for _ in range(beats):
                due = time.perf_counter() + seconds
                await asyncio.sleep(seconds)
                self.loop_lag.observe(max(0.0, time.perf_counter() - due))
