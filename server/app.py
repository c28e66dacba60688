"""Build the FastAPI application from settings: middleware, endpoints, admission, engine, lifecycle."""

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
from server.auth.middleware import OPEN_PATHS, ApiKeyMiddleware
from server.auth.service import AuthService
from server.connection.journal_lifespan import JournalLifespan
from server.connection.websocket import TransportMiddleware
from server.http.body_limit import BodyLimit
from server.http.error_formats import ErrorFormats
from server.http.exception_handlers import add_exception_handlers
from server.http.origin_policy import LOOPBACK_ORIGIN, OriginPolicy
from server.http.paths import PathMiddleware, UnknownPath
from server.http.request_guard import RequestGuard
from server.http.request_id import HEADER, RequestMiddleware
from server.lifecycle.graceful_shutdown import drained_on_signal
from server.lifecycle.jobs import jobs_host
from server.lifecycle.probes import add_gauges, add_probes
from server.observability import log_config
from server.observability.metrics import Metrics
from server.protocols.deepgram.callback_submission import REQUEST_HEADER, callback_formats
from server.protocols.deepgram.file_endpoint import DEEPGRAM_PATHS, DeepgramFileEndpoint, deepgram_error
from server.protocols.deepgram.generation_endpoint import (
    GENERATION_PATHS,
    GenerationEndpoint,
    generation_error,
)
from server.protocols.deepgram.live_endpoint import DeepgramLiveEndpoint
from server.protocols.documents.endpoint import MAX_AT_ONCE, MAX_SUMMARIES, DocumentsEndpoint
from server.protocols.job_endpoint import MAX_EVENT_STREAMS, JobServices
from server.protocols.jobs.endpoint import JobsEndpoint
from server.protocols.jobs.rendering import STATUS_HEADER
from server.protocols.native.endpoint import NativeEndpoint
from server.protocols.native.share_endpoint import MAX_READERS, SHARED_PATHS, ShareEndpoint
from server.protocols.openai_audio.endpoint import (
    FILTERED_HEADER,
    MODEL_HEADER,
    WARNINGS_HEADER,
    OpenAIAudioEndpoint,
)
from server.protocols.openai_audio.models_endpoint import models_router
from server.protocols.openai_realtime.client_secrets import ClientSecrets, client_secrets_router
from server.protocols.openai_realtime.endpoint import PATHS, RealtimeEndpoint
from server.protocols.openai_realtime.session_config import RealtimeConfig
from server.protocols.stt_results.endpoint import RESULT_PATHS, SttResultsEndpoint, stt_results_error
from server.protocols.wav2vec2.endpoint import PATH as WAV2VEC2_PATH
from server.protocols.wav2vec2.endpoint import Wav2Vec2Endpoint, wav2vec2_error
from server.settings import Settings
from server.web.router import PAGE_PATHS, WebPage

if TYPE_CHECKING:
    from server.observability.tracing import Tracer

# To pages of other origins.
EXPOSED_HEADERS: Final = (
    HEADER,
    MODEL_HEADER,
    FILTERED_HEADER,
    WARNINGS_HEADER,
    REQUEST_HEADER,
    STATUS_HEADER,
    "retry-after",
)
# Paths whose endpoints bound the bodies themselves.
FILE_PATHS: Final = frozenset(
    {
        "/v1/audio/transcriptions",
        "/v1/audio/translations",
        "/v1/listen",
        "/v1/jobs",
        "/v1/documents",
        "/v1/summaries",
        "/v1/subtitles",
        "/v1/stt/create",
        "/wav2vec2",
    }
)


def create_app(settings: Settings, on_failure: Callable[[], None] | None = None) -> FastAPI:
    """Return the application. It serves while models load; `/ready` reports when they are loaded.

    on_failure: called when the models cannot be loaded; None raises SIGTERM, which stops the server

    Raises KeyFileError if the file of keys cannot be read.
    """
    log_config.set_up(settings.log_level, settings.log_format)
    metrics = Metrics()
    secrets = ClientSecrets()
    auth = AuthService(
        settings.api_keys.get_secret_value(),
        settings.api_keys_file,
        settings.token_secret.get_secret_value(),
        metrics,
        secrets,
    )
    load_shedder = LoadShedder(settings.max_lag_seconds)
    tracer = _tracer(settings)
    stop = on_failure or partial(signal.raise_signal, signal.SIGTERM)
    engine = _engine(settings, stop, metrics, load_shedder, tracer)
    load_monitor = LoadMonitor(load_shedder, engine.recognizers, lambda: admission.drivers)
    ip_rate_limit = IpRateLimit(settings.rate_limit_per_second, settings.rate_limit_burst)
    policy = AdmissionPolicy(load_shedder, ip_rate_limit, Quotas(), load_monitor.update)
    admission = AdmissionController(settings.max_sessions, policy=policy)
    files = AdmissionController(settings.max_files, "files", policy)
    documents = AdmissionController(MAX_AT_ONCE, "documents")
    summaries = AdmissionController(MAX_SUMMARIES, "summaries", policy)
    readers = AdmissionController(MAX_READERS, "readers of shared sessions", policy)
    add_gauges(metrics, engine, admission, files, readers)
    journals = JournalLifespan(settings, engine.health)
    jobs = jobs_host(settings, engine, policy.charge, callback_formats)
    job_services = JobServices(
        settings,
        jobs,
        uploads=AdmissionController(settings.max_files, "uploads", policy),
        watchers=AdmissionController(MAX_EVENT_STREAMS, "event streams", policy),
    )

    async def drain() -> None:
        seconds = settings.shutdown_timeout_seconds
        controllers = (
            *(admission, files, documents, summaries, readers),
            *(job_services.uploads, job_services.watchers),
        )
        await asyncio.gather(*(each.drain(seconds) for each in controllers))

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            if tracer is not None:
                stack.push_async_callback(asyncio.to_thread, tracer.stop)
            await stack.enter_async_context(drained_on_signal(drain))
            await stack.enter_async_context(engine)
            await stack.enter_async_context(journals.running(native, engine.loaded))
            if jobs is not None:
                await stack.enter_async_context(jobs)
            heartbeat = metrics.heartbeat(lambda: not admission and not files)
            for name, work in (
                ("heartbeat", heartbeat),
                ("load monitor", load_monitor.run()),
                ("watch keys", auth.watch()),
            ):
                stack.callback(asyncio.create_task(work, name=name).cancel)
            yield
            await drain()

    # FastAPI's documentation pages load scripts from other hosts, and a browser may store a key for this
    # origin.
    app = FastAPI(
        title="stt-server", lifespan=lifespan, docs_url=None, redoc_url=None, redirect_slashes=False
    )
    app.state.engine = engine
    _add_middleware(app, settings, auth.authenticator, metrics)
    app.include_router(WebPage(settings).router())
    app.include_router(OpenAIAudioEndpoint(settings, engine, files, metrics).router())
    app.include_router(DeepgramFileEndpoint(settings, engine, files, metrics, job_services).router())
    app.include_router(JobsEndpoint(job_services).router())
    app.include_router(GenerationEndpoint(job_services).router())
    app.include_router(SttResultsEndpoint(job_services).router())
    app.include_router(DocumentsEndpoint(settings, documents, summaries).router())
    app.include_router(Wav2Vec2Endpoint(settings, engine, files, metrics, job_services).router())
    app.include_router(models_router(engine))
    app.include_router(tokens_router(auth.tokens))
    _add_realtime(app, settings, engine, admission, metrics, secrets, auth.authenticator, tracer)
    native = NativeEndpoint(
        settings, engine, admission, metrics, auth=auth.authenticator, tracer=tracer, journals=journals
    )
    if native.shareable is not None:
        sharing = ShareEndpoint(
            native.shareable,
            auth.share_tokens,
            auth.authenticator,
            lambda: journals.recovered,
            readers,
            settings.send_timeout_seconds,
        )
        app.include_router(sharing.router())
    add_probes(app, engine, admission, metrics, journals)
    deepgram = DeepgramLiveEndpoint(
        settings, engine, admission, metrics, auth=auth.authenticator, tracer=tracer
    )
    app.add_api_websocket_route("/ws/stt", native.serve)
    app.add_api_route("/ws/stt", native.availability, include_in_schema=False)
    app.add_api_websocket_route("/v1/listen", deepgram.serve)
    websockets = ("/ws/stt", "/v1/listen", *PATHS)
    app.router.default = UnknownPath(app.router.default, auth.authenticator.admit, websockets)
    return app


def _tracer(settings: Settings) -> "Tracer | None":
    if not settings.trace_endpoint:
        return None
    # OpenTelemetry is an optional extra.
    from server.observability.tracing import Tracer, send_to

    return Tracer(send_to(settings.trace_endpoint, settings.trace_sample_ratio))


def _engine(
    settings: Settings,
    on_failure: Callable[[], None],
    metrics: Metrics,
    load_shedder: LoadShedder,
    tracer: "Tracer | None",
) -> Engine:
    def observe_batch_duration(batch: Sequence[BatchedItem], seconds: float) -> None:
        metrics.batch_seconds.observe(seconds)
        if tracer is not None:
            tracer.batch(batch, seconds)

    return Engine(
        settings.engine_options(),
        on_failure,
        health=Health(),
        on_batch=metrics.observe_batch,
        on_batch_done=observe_batch_duration,
        on_step_done=metrics.observe_step,
        on_task_done=metrics.count_task,
        on_stream_closed=metrics.count_audio,
        degradation=lambda: load_shedder.degradation,
        on_restart=metrics.count_restart,
        prepare=partial(log_config.set_up, settings.log_level, settings.log_format),
    )


def _add_middleware(app: FastAPI, settings: Settings, authenticator: Authenticator, metrics: Metrics) -> None:
    """Add all middleware. The one that is added last handles a request first."""
    app.add_middleware(TransportMiddleware)
    formats = ErrorFormats(
        {
            **dict.fromkeys(DEEPGRAM_PATHS, deepgram_error),
            GENERATION_PATHS: generation_error,
            **dict.fromkeys(RESULT_PATHS, stt_results_error),
            WAV2VEC2_PATH: wav2vec2_error,
        }
    )
    app.add_middleware(BodyLimit, exempt_paths=FILE_PATHS, formats=formats)
    open_paths = OPEN_PATHS | PAGE_PATHS | ({"/metrics"} if settings.metrics_open else frozenset())
    open_paths |= {SHARED_PATHS} if settings.share_sessions else frozenset()
    app.add_middleware(
        ApiKeyMiddleware, auth=authenticator, open_paths=open_paths, formats=formats, metrics=metrics
    )
    on_this_machine = not settings.has_keys and settings.auth_without_keys == "loopback"
    origins = OriginPolicy(settings.allowed_origins(), loopback=on_this_machine)
    app.add_middleware(
        CORSMiddleware,
        allow_origins=origins.allowed,
        allow_origin_regex=LOOPBACK_ORIGIN.pattern if on_this_machine else None,
        allow_methods=["*"],
        allow_headers=["*"],
        expose_headers=EXPOSED_HEADERS,
        allow_private_network=True,
    )
    app.add_middleware(RequestGuard, origins=origins, on_this_machine=on_this_machine, metrics=metrics)
    app.add_middleware(PathMiddleware)
    app.add_middleware(RequestMiddleware, metrics=metrics)
    add_exception_handlers(app, formats)


def _add_realtime(
    app: FastAPI,
    settings: Settings,
    engine: Engine,
    admission: AdmissionController,
    metrics: Metrics,
    secrets: ClientSecrets,
    authenticator: Authenticator,
    tracer: "Tracer | None",
) -> None:
    plain = RealtimeConfig(settings.session_options(), always_live=settings.realtime_live_deltas)
    app.include_router(client_secrets_router(secrets, plain))
    realtime = RealtimeEndpoint(
        settings, engine, admission, metrics, secrets, plain, auth=authenticator, tracer=tracer
    )
    for path in PATHS:
        app.add_api_websocket_route(path, realtime.serve)
