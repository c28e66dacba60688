"""Metrics: what Prometheus sees. Names and meanings stand in docs/metrics.md; a test holds them together."""

import asyncio
import time
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from server.admission import Admission
from server.engine import Engine

HEARTBEAT_SECONDS: Final = 0.010
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
        self.errors = Counter("stt_errors_total", "Errors told to clients", ["code"], registry=self._registry)

    def watch(self, engine: Engine, admission: Admission) -> None:
        """Adds what is read at the moment of asking."""

        def gauge(name: str, what: str) -> Gauge:
            return Gauge(name, what, registry=self._registry)

        def batchers(name: str) -> int:
            return len(getattr(engine.models, name)) if engine.models else 0

        def ran(name: str, what: str) -> int:
            return int(getattr(getattr(engine.models, name), what)) if engine.models else 0

        gauge("stt_open_sessions", "Sessions that are open").set_function(lambda: len(admission))
        gauge("stt_ready", "1 once the models are loaded").set_function(lambda: engine.models is not None)
        gauge("stt_asr_waiting", "Jobs that wait for the recognizer").set_function(lambda: batchers("asr"))
        gauge("stt_vad_waiting", "Streams that wait for the detector").set_function(lambda: batchers("vad"))
        gauge("stt_asr_batches", "Batches the recognizer was given").set_function(
            lambda: ran("asr", "batches")
        )
        gauge("stt_asr_items", "Jobs in those batches").set_function(lambda: ran("asr", "items"))
        gauge("stt_vad_batches", "Steps the detector was given").set_function(lambda: ran("vad", "batches"))
        gauge("stt_vad_items", "Streams in those steps").set_function(lambda: ran("vad", "items"))

    def text(self) -> bytes:
        """The exposition format, text version 0.0.4."""
        return generate_latest(self._registry)

    async def heartbeat(self) -> None:
        """Measures the event loop's lag until it is cancelled."""
        while True:
            due = time.perf_counter() + HEARTBEAT_SECONDS
            await asyncio.sleep(HEARTBEAT_SECONDS)
            self.loop_lag.observe(max(0.0, time.perf_counter() - due))
