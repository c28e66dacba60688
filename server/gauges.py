"""Gauges: what Prometheus reads of the engine and of admission at the moment it asks."""

from server.admission import Admission
from server.engine import Engine
from server.metrics import Metrics


def add_gauges(metrics: Metrics, engine: Engine, sessions: Admission, files: Admission) -> None:
    """Add the gauges of one server to its metrics."""
    recognizers, overload = engine.recognizers, sessions.limits.overload
    add = metrics.gauge
    add("stt_open_sessions", "Sessions that are open", lambda: len(sessions))
    add("stt_open_files", "Files that are taken in or transcribed", lambda: len(files))
    add("stt_troubles", "Troubles that /ready tells of", lambda: len(engine.health.troubles))
    add("stt_asr_waiting", "Jobs that wait for a recognizer", lambda: recognizers.waiting)
    add("stt_asr_batches", "Batches the recognizers were given", lambda: recognizers.batches)
    add("stt_asr_items", "Jobs in those batches", lambda: recognizers.items)
    add("stt_models_loaded", "Recognizers that are loaded", lambda: recognizers.loaded)
    add("stt_models_memory_bytes", "Memory that recognizers take", lambda: recognizers.memory)
    add("stt_lag_seconds", "Seconds that finals wait, as of the last look", lambda: overload.lag)
    add(
        "stt_demand",
        "Part of the recognizers' time that the open streams need; from 1 on they fall behind",
        lambda: overload.demand,
    )
    add("stt_overload_step", "What is given up while recognition is behind", lambda: overload.step)
    add(
        "stt_vad_waiting",
        "Streams that wait for the detector",
        lambda: 0 if engine.vad is None else len(engine.vad),
    )
    add(
        "stt_vad_batches",
        "Steps the detector was given",
        lambda: 0 if engine.vad is None else engine.vad.batches,
    )
    add("stt_vad_items", "Streams in those steps", lambda: 0 if engine.vad is None else engine.vad.items)
