"""App: the doors of the server, put together."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Final

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware

from batching.batcher import BatchedItem
from engine.engine import Engine
from engine.health import Health
from server.admission.controller import AdmissionController
from server.admission.ip_rate_limit import IpRateLimit
from server.admission.load_monitor import LoadMonitor
from server.admission.load_shedding import LoadShedder
from server.admission.policy import AdmissionPolicy
from server.admission.quotas import Quotas
from server.auth.access_tokens import tokens_router
from server.auth.authenticator import Authenticator
from server.auth.middleware import OPEN, ApiKeyMiddleware
from server.auth.service import AuthService
from server.connection.journal_lifespan import JournalLifespan
from server.connection.websocket import TransportMiddleware
from server.http.body_limit import BodyLimit
from server.http.exception_handlers import add_exception_handlers
from server.http.origin_policy import OriginPolicy
from server.http.request_guard import RequestGuard
from server.http.request_id import HEADER, RequestMiddleware
from server.lifecycle.graceful_shutdown import drained_on_signal
from server.lifecycle.probes import add_gauges, add_probes
from server.observability import log_config
from server.observability.metrics import Metrics
from server.protocols.deepgram.file_endpoint import REQUEST_HEADER, DeepgramFileEndpoint, refused_key
from server.protocols.deepgram.live_endpoint import DeepgramLiveEndpoint
from server.protocols.native.endpoint import NativeEndpoint
from server.protocols.openai_audio.endpoint import MODEL_HEADER, OpenAIAudioEndpoint
from server.protocols.openai_audio.models_endpoint import models_router
from server.protocols.openai_realtime.client_secrets import ClientSecrets, client_secrets_router
from server.protocols.openai_realtime.endpoint import PATHS, RealtimeEndpoint
from server.protocols.openai_realtime.session_config import RealtimeConfig
from server.settings import Settings
from server.web.router import PAGE_PATHS, WebPage

if TYPE_CHECKING:
    from server.observability.tracing import Tracer

SHOWN: Final = (HEADER, MODEL_HEADER, REQUEST_HEADER, "retry-after")  # to pages from elsewhere
LARGE: Final = frozenset({"/v1/audio/transcriptions", "/v1/audio/translations", "/v1/listen"})


def create_app(settings: Settings, on_failure: Callable[[], None] | None = None) -> FastAPI:
    """The application. Models load while the port answers already; `/ready` says when they are there.

    Raises KeyFileError.
    on_failure: called when the models cannot be loaded; without it the server stops itself
    """
    log_config.set_up(settings.log_level, settings.log_format)
    metrics = Metrics()
    secrets = ClientSecrets()
    reception = AuthService(
        settings.api_keys.get_secret_value(),
        settings.api_keys_file,
        settings.token_secret.get_secret_value(),
        metrics,
        secrets,
    )
    overload = LoadShedder(settings.max_lag_seconds)
    tracer = _tracer(settings)
    stop = on_failure or partial(signal.raise_signal, signal.SIGTERM)
    engine = _engine(settings, stop, metrics, overload, tracer)
    steward = LoadMonitor(overload, engine.recognizers, lambda: admission.pumps)
    addresses = IpRateLimit(settings.rate_limit_per_second, settings.rate_limit_burst)
    limits = AdmissionPolicy(overload, addresses, Quotas(), steward.look)
    admission = AdmissionController(settings.max_sessions, limits=limits)
    files = AdmissionController(settings.max_files, "files", limits)
    add_gauges(metrics, engine, admission, files)
    journals = JournalLifespan(settings, engine.health)

    async def drain() -> None:
        seconds = settings.shutdown_timeout_seconds
        await asyncio.gather(admission.drain(seconds), files.drain(seconds))

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            if tracer is not None:
                stack.push_async_callback(asyncio.to_thread, tracer.stop)
            await stack.enter_async_context(drained_on_signal(drain))
            await stack.enter_async_context(engine)
            await stack.enter_async_context(journals.running(native, engine.loaded))
            for work in (metrics.heartbeat, steward.run, reception.watch):
                stack.callback(asyncio.create_task(work(), name=work.__qualname__).cancel)
            yield
            await drain()

    # No pages with the documents: they fetch scripts from elsewhere, and here a browser may hold a key.
    app = FastAPI(title="stt-server", lifespan=lifespan, docs_url=None, redoc_url=None)
    app.state.engine = engine
    _add_middleware(app, settings, reception.gate, metrics)
    app.include_router(WebPage(settings).router())
    app.include_router(OpenAIAudioEndpoint(settings, engine, files, metrics).router())
    app.include_router(DeepgramFileEndpoint(settings, engine, files, metrics).router())
    app.include_router(models_router(engine))
    app.include_router(tokens_router(reception.tokens))
    _add_realtime(app, settings, engine, admission, metrics, secrets, reception.gate, tracer)
    native = NativeEndpoint(
        settings, engine, admission, metrics, gate=reception.gate, tracer=tracer, journals=journals
    )
    add_probes(app, engine, admission, metrics, journals)
    deepgram = DeepgramLiveEndpoint(settings, engine, admission, metrics, gate=reception.gate, tracer=tracer)
    app.add_api_websocket_route("/ws/stt", native.serve)
    app.add_api_websocket_route("/v1/listen", deepgram.serve)
    return app


def _tracer(settings: Settings) -> "Tracer | None":
    if not settings.trace_endpoint:
        return None
    from server.observability.tracing import (  # packages that are there only where they are used
        Tracer,
        send_to,
    )

    return Tracer(send_to(settings.trace_endpoint, settings.trace_sample_ratio))


def _engine(
    settings: Settings,
    on_failure: Callable[[], None],
    metrics: Metrics,
    overload: LoadShedder,
    tracer: "Tracer | None",
) -> Engine:
    def batch_took(batch: Sequence[BatchedItem], seconds: float) -> None:
        metrics.batch_seconds.observe(seconds)
        if tracer is not None:
            tracer.batch(batch, seconds)

    return Engine(
        settings.engine_options(),
        on_failure,
        health=Health(),
        on_batch=metrics.observe_batch,
        on_batch_done=batch_took,
        on_step_done=metrics.observe_step,
        on_task_done=metrics.count_job,
        on_stream_closed=metrics.count_audio,
        degradation=lambda: overload.relief,
        on_restart=metrics.count_restart,
        prepare=partial(log_config.set_up, settings.log_level, settings.log_format),
    )


def _add_middleware(app: FastAPI, settings: Settings, gate: Authenticator, metrics: Metrics) -> None:
    """What is added last sees a request first."""
    app.add_middleware(TransportMiddleware)
    app.add_middleware(BodyLimit, large=LARGE)
    open_paths = OPEN | PAGE_PATHS | ({"/metrics"} if settings.metrics_open else frozenset())
    refusals = {"/v1/listen": refused_key}
    app.add_middleware(ApiKeyMiddleware, gate=gate, open_paths=open_paths, refusals=refusals, metrics=metrics)
    origins = settings.allowed_origins()
    app.add_middleware(
        CORSMiddleware, allow_origins=origins, allow_methods=["*"], allow_headers=["*"], expose_headers=SHOWN
    )
    on_this_machine = not settings.has_keys and settings.auth_without_keys == "loopback"
    app.add_middleware(
        RequestGuard, origins=OriginPolicy(origins), on_this_machine=on_this_machine, metrics=metrics
    )
    app.add_middleware(RequestMiddleware, metrics=metrics)
    add_exception_handlers(app)


def _add_realtime(
    app: FastAPI,
    settings: Settings,
    engine: Engine,
    admission: AdmissionController,
    metrics: Metrics,
    secrets: ClientSecrets,
    gate: Authenticator,
    tracer: "Tracer | None",
) -> None:
    plain = RealtimeConfig(settings.session_options(), always_live=settings.realtime_live_deltas)
    app.include_router(client_secrets_router(secrets, plain))
    realtime = RealtimeEndpoint(
        settings, engine, admission, metrics, secrets, plain, gate=gate, tracer=tracer
    )
    for path in PATHS:
        app.add_api_websocket_route(path, realtime.serve)
