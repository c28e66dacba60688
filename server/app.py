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
from server.client_secrets import ClientSecrets, client_secrets_router
from server.drain import drained_on_signal
from server.engine import Engine
from server.envelope import add_envelope
from server.listen import ListenDoor
from server.listen_rest import ListenFileDoor
from server.metrics import Metrics
from server.native import NativeDoor
from server.realtime import PATHS, RealtimeDoor
from server.realtime_session import RealtimeSession
from server.recognizers import Status
from server.reload import reloaded_on_signal
from server.rest import RestDoor
from server.rest_models import models_router
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
    files = Admission(settings.max_files, "files")
    metrics.watch(engine, admission, files)

    async def drain() -> None:
        await asyncio.gather(admission.drain(settings.stop_seconds), files.drain(settings.stop_seconds))

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(drained_on_signal(drain))
            await stack.enter_async_context(engine)
            await stack.enter_async_context(reloaded_on_signal(engine.reload))
            heartbeat = asyncio.create_task(metrics.heartbeat(), name="heartbeat")
            stack.callback(heartbeat.cancel)
            yield
            await drain()

    app = FastAPI(title="stt-server", lifespan=lifespan)
    app.add_middleware(TransportMiddleware)
    app.state.engine = engine
    add_envelope(app, metrics)
    _add_probes(app, engine, admission, metrics)
    app.include_router(RestDoor(settings, engine, files, metrics).router())
    app.include_router(ListenFileDoor(settings, engine, files, metrics).router())
    app.include_router(models_router(engine))
    _add_realtime(app, settings, engine, admission, metrics)
    native = NativeDoor(settings, engine, admission, metrics)
    deepgram = ListenDoor(settings, engine, admission, metrics)

    @app.websocket("/ws/stt")
    async def listen(websocket: WebSocket) -> None:
        await native.serve(websocket)

    @app.websocket("/v1/listen")
    async def listen_as_deepgram(websocket: WebSocket) -> None:
        await deepgram.serve(websocket)

    return app


def _add_realtime(
    app: FastAPI, settings: Settings, engine: Engine, admission: Admission, metrics: Metrics
) -> None:
    secrets = ClientSecrets()
    plain = RealtimeSession(settings.session_options(), always_live=settings.realtime_live_deltas)
    app.include_router(client_secrets_router(secrets, plain))
    realtime = RealtimeDoor(settings, engine, admission, metrics, secrets, plain)
    for path in PATHS:
        app.add_api_websocket_route(path, realtime.serve)


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
