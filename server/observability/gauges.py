"""Gauges: what Prometheus reads of the engine and of admission at the moment it asks."""

from engine.engine import Engine
from server.admission.controller import AdmissionController
from server.observability.metrics import Metrics


def add_gauges(
    metrics: Metrics, engine: Engine, sessions: AdmissionController, files: AdmissionController
) -> None:
    """Add the gauges of one server to its metrics."""
    recognizers, overload = engine.recognizers, sessions.limits.overload
    add = metrics.gauge
    add("stt_open_sessions", "Open sessions", lambda: len(sessions))
    add("stt_open_files", "Files that are being received or transcribed", lambda: len(files))
    add("stt_troubles", "Problems that /ready reports", lambda: len(engine.health.troubles))
    add("stt_asr_waiting", "Recognition tasks that wait", lambda: recognizers.waiting)
    add("stt_asr_batches", "Batches given to the recognizers", lambda: recognizers.batches)
    add("stt_asr_items", "Recognition tasks in these batches", lambda: recognizers.items)
    add("stt_models_loaded", "Loaded recognizers", lambda: recognizers.loaded)
    add("stt_models_memory_bytes", "Memory used by the recognizers, in bytes", lambda: recognizers.memory)
    add(
        "stt_lag_seconds", "Seconds that finals wait for recognition, at the last check", lambda: overload.lag
    )
    add(
        "stt_demand",
        "Fraction of the recognizers' time that the open streams need; from 1 on recognition falls behind",
        lambda: overload.demand,
    )
    add("stt_overload_step", "Load-shedding level", lambda: overload.step)
    add(
        "stt_vad_waiting",
        "Streams that wait for the voice detector",
        lambda: 0 if engine.vad is None else len(engine.vad),
    )
    add(
        "stt_vad_batches",
        "Steps of the voice detector",
        lambda: 0 if engine.vad is None else engine.vad.batches,
    )
    add("stt_vad_items", "Streams in these steps", lambda: 0 if engine.vad is None else engine.vad.items)
