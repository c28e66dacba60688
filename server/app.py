"""App: the doors of the server, put together."""

import asyncio
import dataclasses
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from fastapi import FastAPI, Response, WebSocket
from fastapi.responses import JSONResponse

from server import logs
from server.admission import Admission
from server.drain import drained_on_signal
from server.engine import Engine
from server.metrics import Metrics
from server.native import NativeDoor
from server.recognizers import Status
from server.reload import reloaded_on_signal
from server.settings import Settings
from server.shelf import MIB
from server.socket import TransportMiddleware


def create_app(settings: Settings, on_failure: Callable[[], None] | None = None) -> FastAPI:
    """The application. Models load while the port answers already; `/ready` says when they are there.

    on_failure: called when the models cannot be loaded; without it the server stops itself
    """
    logs.set_up(settings.log_level, settings.log_format)
    metrics = Metrics()
    engine = Engine(
        settings,
        on_failure or partial(signal.raise_signal, signal.SIGTERM),
        observe=metrics.observe_batch,
        tally=metrics.count_job,
    )
    admission = Admission(settings.max_sessions)
    metrics.watch(engine, admission)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(
                drained_on_signal(partial(admission.drain, settings.stop_seconds))
            )
            await stack.enter_async_context(engine)
            await stack.enter_async_context(reloaded_on_signal(engine.reload))
            heartbeat = asyncio.create_task(metrics.heartbeat(), name="heartbeat")
            stack.callback(heartbeat.cancel)
            yield
            await admission.drain(settings.stop_seconds)

    app = FastAPI(title="stt-server", lifespan=lifespan)
    app.add_middleware(TransportMiddleware)
    app.state.engine = engine
    _add_probes(app, engine, admission, metrics)
    native = NativeDoor(settings, engine, admission, metrics)

    @app.websocket("/ws/stt")
    async def listen(websocket: WebSocket) -> None:
        await native.serve(websocket)

    return app


def _add_probes(app: FastAPI, engine: Engine, admission: Admission, metrics: Metrics) -> None:
    @app.get("/health")
    async def health() -> dict[str, str]:
        """Alive: the event loop answers."""
        return {"status": "ok"}

    @app.get("/ready")
    async def ready() -> JSONResponse:
        """200 while the default models are loaded and warm and the server is not stopping, else 503."""
        is_ready = engine.ready and not admission.draining
        recognizers = engine.recognizers
        content = {
            "ready": is_ready,
            "state": "draining" if admission.draining else engine.state,
            "error": engine.error,
            "recognizer": dataclasses.asdict(engine.description) if engine.description else None,
            "models": [_told(recognizers.status(name)) for name in recognizers.names],
        }
        return JSONResponse(content, status_code=200 if is_ready else 503)

    @app.get("/metrics")
    async def read_metrics() -> Response:
        """For Prometheus."""
        return Response(metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


def _told(status: Status) -> dict[str, object]:
    return {
        "name": status.name,
        "state": status.state,
        "memory_mb": round(status.memory / MIB),
        "sessions": status.users,
        "error": status.error,
    }
