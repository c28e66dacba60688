"""Metrics: what Prometheus sees. Names and meanings stand in docs/metrics.md; a test holds them together."""

import asyncio
import time
from collections.abc import Sequence
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from audio.clip import seconds_from_samples
from batching.batcher import Taken
from server.admission import Admission
from server.engine import Engine
from stream.events import Closed, Event, Failed
from stream.events import Final as FinalEvent
from stream.pump import Fate
from stream.utterance import Kind

HEARTBEAT_SECONDS: Final = 0.010
SIZE_BUCKETS: Final = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 128)
WAIT_BUCKETS: Final = (0.001, 0.003, 0.01, 0.03, 0.06, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
LAG_BUCKETS: Final = (0.001, 0.002, 0.005, 0.01, 0.015, 0.02, 0.03, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class Metrics:
    """One server's numbers, in a registry of their own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.loop_lag = Histogram(
            "stt_loop_lag_seconds",
            "Lag of a 10 ms heartbeat of the event loop",
            buckets=LAG_BUCKETS,
            registry=self._registry,
        )
        self.sessions_total = Counter(
            "stt_sessions_total", "Sessions that were admitted", registry=self._registry
        )
        self.audio_seconds = Counter(
            "stt_audio_seconds_total",
            "Seconds of audio by what became of it",
            ["fate"],
            registry=self._registry,
        )
        self.finals = Counter(
            "stt_finals_total", "Finals by why the utterance ended", ["reason"], registry=self._registry
        )
        self.eager_finals = Counter(
            "stt_eager_finals_total",
            "Finals whose text was there when the pause became the end",
            registry=self._registry,
        )
        self.guarded_segments = Counter(
            "stt_guarded_segments_total",
            "Segments whose text was refused, by the guard that did",
            ["guard"],
            registry=self._registry,
        )
        self.jobs = Counter(
            "stt_asr_jobs_total",
            "Jobs for a recognizer by what they were for and what became of them",
            ["kind", "fate"],
            registry=self._registry,
        )
        self.batch_size = Histogram(
            "stt_asr_batch_size", "Jobs in a batch", buckets=SIZE_BUCKETS, registry=self._registry
        )
        self.waits = Histogram(
            "stt_asr_wait_seconds",
            "Wait of a job until its batch began",
            ["kind"],
            buckets=WAIT_BUCKETS,
            registry=self._registry,
        )
        self.requests = Counter(
            "stt_http_requests_total",
            "Requests under /v1 that were answered",
            ["path", "status"],
            registry=self._registry,
        )
        self.errors = Counter("stt_errors_total", "Errors told to clients", ["code"], registry=self._registry)

    def observe_event(self, event: Event) -> None:
        """Of a session, as it is told."""
        if isinstance(event, FinalEvent):
            self.finals.labels(event.reason).inc()
            if event.eager:
                self.eager_finals.inc()
            if event.guard is not None:
                self.guarded_segments.labels(event.guard).inc()
        elif isinstance(event, Failed):
            self.errors.labels("transcription_failed").inc()
        elif isinstance(event, Closed):
            for fate in ("speech", "non_speech", "dropped"):
                self.audio_seconds.labels(fate).inc(seconds_from_samples(getattr(event, fate)))

    def count_job(self, kind: Kind, fate: Fate) -> None:
        """As Models.tally wants it."""
        self.jobs.labels(kind.name.lower(), fate).inc()

    def observe_batch(self, batch: Sequence[Taken]) -> None:
        """As a recognizer's Batcher wants it."""
        self.batch_size.observe(len(batch))
        for taken in batch:
            self.waits.labels(Kind(taken.priority).name.lower()).observe(taken.waited)

    def watch(self, engine: Engine, admission: Admission, files: Admission) -> None:
        """Adds what is read at the moment of asking."""

        def gauge(name: str, what: str) -> Gauge:
            return Gauge(name, what, registry=self._registry)

        recognizers = engine.recognizers

        gauge("stt_open_sessions", "Sessions that are open").set_function(lambda: len(admission))
        gauge("stt_open_files", "Files that are taken in or transcribed").set_function(lambda: len(files))
        gauge("stt_ready", "1 once the models are loaded").set_function(lambda: engine.ready)
        gauge("stt_asr_waiting", "Jobs that wait for a recognizer").set_function(lambda: recognizers.waiting)
        gauge("stt_asr_batches", "Batches the recognizers were given").set_function(
            lambda: recognizers.batches
        )
        gauge("stt_asr_items", "Jobs in those batches").set_function(lambda: recognizers.items)
        gauge("stt_models_loaded", "Recognizers that are loaded").set_function(lambda: recognizers.loaded)
        gauge("stt_models_memory_bytes", "Memory that recognizers take").set_function(
            lambda: recognizers.memory
        )
        gauge("stt_vad_waiting", "Streams that wait for the detector").set_function(
            lambda: 0 if engine.vad is None else len(engine.vad)
        )
        gauge("stt_vad_batches", "Steps the detector was given").set_function(
            lambda: 0 if engine.vad is None else engine.vad.batches
        )
        gauge("stt_vad_items", "Streams in those steps").set_function(
            lambda: 0 if engine.vad is None else engine.vad.items
        )

    def text(self) -> bytes:
        """The exposition format, text version 0.0.4."""
        return generate_latest(self._registry)

    async def heartbeat(self) -> None:
        """Measures the event loop's lag until it is cancelled."""
        while True:
            due = time.perf_counter() + HEARTBEAT_SECONDS
            await asyncio.sleep(HEARTBEAT_SECONDS)
            self.loop_lag.observe(max(0.0, time.perf_counter() - due))
