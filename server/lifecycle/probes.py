"""Serve /health, /ready and /metrics, and the gauges that read the engine and admission."""

import dataclasses

from fastapi import FastAPI, Response
from fastapi.responses import JSONResponse

from engine.engine import Engine
from engine.memory_budget import MIB
from engine.model_pool import ModelStatus
from server.admission.controller import AdmissionController
from server.connection.journal_lifespan import JournalLifespan
from server.observability.metrics import Metrics


def add_gauges(
    metrics: Metrics,
    engine: Engine,
    sessions: AdmissionController,
    files: AdmissionController,
    readers: AdmissionController,
) -> None:
    """Add the gauges of one server to its metrics."""
    recognizers, load_shedder = engine.recognizers, sessions.policy.load_shedder
    add = metrics.gauge
    add("stt_open_sessions", "Open sessions", lambda: len(sessions))
    add("stt_open_files", "Files that are being received or transcribed", lambda: len(files))
    add("stt_shared_readers", "Readers that follow shared sessions", lambda: len(readers))
    add("stt_problems", "Problems that /ready reports", lambda: len(engine.health.problems))
    add("stt_asr_waiting", "Recognition tasks that wait", lambda: recognizers.waiting)
    add("stt_asr_batches", "Batches given to the recognizers", lambda: recognizers.batches)
    add("stt_asr_items", "Recognition tasks in these batches", lambda: recognizers.items)
    add("stt_models_loaded", "Loaded recognizers", lambda: recognizers.loaded)
    add("stt_models_memory_bytes", "Memory used by the recognizers, in bytes", lambda: recognizers.memory)
    add(
        "stt_lag_seconds",
        "Seconds that finals wait for recognition, at the last check",
        lambda: load_shedder.lag,
    )
    add(
        "stt_demand",
        "Fraction of the recognizers' time that the open streams need; from 1 on recognition falls behind",
        lambda: load_shedder.demand,
    )
    add("stt_overload_step", "Load-shedding level", lambda: load_shedder.level)
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


def add_probes(
    app: FastAPI, engine: Engine, admission: AdmissionController, metrics: Metrics, journals: JournalLifespan
) -> None:
    """Add the routes that say whether the server is alive and ready, and its metrics."""

    def is_ready() -> bool:
        return engine.ready and engine.health.ok and journals.recovered and not admission.draining

    metrics.ready.set_function(is_ready)

    @app.get("/health")
    async def health() -> dict[str, str]:
        """Return 200 while the event loop answers."""
        return {"status": "ok"}

    @app.get("/ready")
    async def ready() -> JSONResponse:
        """Return 200 while the default models work and the server is healthy and not stopping; else 503."""
        recognizers, problems = engine.recognizers, engine.health.problems
        content = {
            "ready": is_ready(),
            "state": "draining" if admission.draining else engine.state,
            "error": engine.error,
            "troubles": [{"name": name, "why": problem.reason} for name, problem in problems.items()],
            "recognizer": dataclasses.asdict(engine.description) if engine.description else None,
            "models": [_model_status(recognizers.status(name)) for name in recognizers.names],
        }
        return JSONResponse(content, status_code=200 if content["ready"] else 503)

    @app.get("/metrics")
    async def read_metrics() -> Response:
        """Return the metrics in the text format of Prometheus."""
        return Response(metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


def _model_status(status: ModelStatus) -> dict[str, object]:
    return {
        "name": status.name,
        "state": status.state,
        "memory_mb": round(status.memory / MIB),
        "sessions": status.users,
        "error": status.error,
        "languages": status.description.languages if status.description else None,
        "download": {"bytes": status.download.done, "total_bytes": status.download.total}
        if status.download
        else None,
        "conversion_seconds": status.conversion_seconds,
    }
