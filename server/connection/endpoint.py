"""Serve connections of one wire protocol, from the handshake to the close."""

import asyncio
import logging
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Final, Protocol

from fastapi.responses import JSONResponse
from starlette.websockets import WebSocket

from asr.recognizer import ModelInfo
from audio.clip import SAMPLE_RATE
from engine.engine import Engine
from engine.model_pool import ModelNotReady
from journal.recorder import JournalRecorder, RecordedStream
from server.admission.controller import AdmissionController
from server.admission.quotas import UsageMeter
from server.auth.api_keys import Principal, caller_of
from server.auth.authenticator import Authenticator
from server.connection.client_session import ClientSession, SessionState
from server.connection.journal_lifespan import JournalLifespan
from server.connection.protocol import LiveStream, StreamInput, WireProtocol
from server.connection.session_registry import SessionRegistry
from server.connection.websocket import BoundedWebSocket, WebSocketClosed
from server.errors import (
    CLOSE_BAD_REQUEST,
    CLOSE_RESTART,
    ClientError,
    internal,
    invalid_api_key,
    model_unavailable,
    models_not_ready,
    overloaded,
    restarting,
    resume_unknown,
)
from server.http.exception_handlers import http_error_of
from server.observability.log_config import key_name
from server.observability.metrics import Metrics
from server.observability.session_timing import SessionTiming
from server.settings import Settings
from streaming.driver import StreamDriver
from streaming.model_clients import ModelClients
from streaming.multichannel import MultichannelStream
from streaming.options import SessionOptions

if TYPE_CHECKING:
    from server.observability.tracing import Tracer

log = logging.getLogger(__name__)

MIN_LOAD_SECONDS: Final = 20.0  # that a client waits for a model to load, if SPOOL_MINUTES is shorter
EARLY_BYTES_PER_SECOND: Final = 4 * SAMPLE_RATE  # of what a client sends meanwhile


@dataclass(frozen=True, slots=True)
class SessionRequest:
    """Hold what a handshake requests.

    recognizer: a name that the engine knows
    options: options with which the stream begins
    protocol: makes the session's protocol from its name, its stream and the recognizer's description
    journaled: the session is kept in a journal if there are journals, because the client can resume it
    channels: number of channels that are kept apart, not with a journal; None if they are mixed
    """

    recognizer: str
    options: SessionOptions
    protocol: Callable[[str, StreamInput, ModelInfo], WireProtocol]
    journaled: bool = False
    channels: int | None = None


@dataclass(frozen=True, slots=True)
class ResumeRequest:
    """Hold what a handshake that resumes a session says.

    token: the token that the client was given when the session began
    seen: number of the last message that the client has seen
    """

    token: str
    seen: int


class Resumable(Protocol):
    """Describe a session that a client can resume.

    owner: name of the key that began the session
    """

    owner: str | None

    async def resume(self, socket: BoundedWebSocket, seen: int) -> None:
        """Continue with this socket until it is closed or replaced. Raises ClientError."""
        ...

    def forget(self) -> None:
        """Delete what is kept: the session can no longer be resumed."""
        ...


def _forget(session: Resumable) -> None:
    session.forget()


class WebSocketEndpoint(ABC):
    """Serve all connections of one wire protocol.

    journals: where sessions are kept; None for a protocol whose sessions cannot be resumed
    load_seconds: the longest that a client waits for a model to load; None for SPOOL_MINUTES
    """

    max_message_bytes: ClassVar[int | None] = None  # if the protocol sets a limit; else the setting applies

    def __init__(
        self,
        settings: Settings,
        engine: Engine,
        admission: AdmissionController,
        metrics: Metrics,
        load_seconds: float | None = None,
        *,
        auth: Authenticator,
        tracer: "Tracer | None" = None,
        journals: JournalLifespan | None = None,
    ) -> None:
        self.settings = settings
        self.engine = engine
        self._load_seconds = load_seconds or max(MIN_LOAD_SECONDS, 60 * settings.spool_minutes)
        self.admission = admission
        self._metrics = metrics
        self.auth = auth
        self._tracer = tracer
        self._journals = journals
        self._sessions = SessionRegistry[Resumable](settings.resume_seconds, settings.max_sessions, _forget)

    def subprotocol(self, websocket: WebSocket) -> str | None:
        """Return the offered subprotocol that is accepted, if any."""
        return None

    def resumption(self, websocket: WebSocket) -> ResumeRequest | None:
        """Return what the handshake resumes; None if it begins a session. Raises ClientError."""
        return None

    @abstractmethod
    def open(self, websocket: WebSocket) -> SessionRequest:
        """Read the handshake. Raises ClientError."""

    async def open_connected(self, websocket: WebSocket, socket: BoundedWebSocket) -> SessionRequest:
        """Read the handshake, and the first messages if the request depends on them.

        Raises ClientError.
        """
        return self.open(websocket)

    @abstractmethod
    def refusal(self, error: ClientError) -> Mapping[str, object] | None:
        """Return the message that is sent before a connection is closed for an error."""

    def check(self, websocket: WebSocket) -> None:
        """Check the key, and whether a session may begin, before the upgrade. Raises ClientError."""
        key_name.set(self.auth.admit(websocket.scope).name)
        self.admission.check(websocket.scope, resuming=self.resumption(websocket) is not None)

    async def serve(self, websocket: WebSocket) -> None:
        """Serve one connection from the handshake to the close."""
        try:
            self.check(websocket)
        except ClientError as error:
            await self.deny(websocket, error)
            return
        await websocket.accept(self.subprotocol(websocket))
        await self._serve_accepted(self._socket(websocket), websocket)

    async def deny(self, websocket: WebSocket, error: ClientError) -> None:
        """Refuse the upgrade with an HTTP response if the HTTP server supports it, else after the upgrade."""
        if "websocket.http.response" not in websocket.scope.get("extensions", {}):
            await self.deny_after_upgrade(websocket, error)
            return
        self._metrics.errors.labels(error.code).inc()
        log.info("connection.denied code=%s message=%r", error.code, error.message)
        await websocket.send_denial_response(self.denial(error))

    def denial(self, error: ClientError) -> JSONResponse:
        """Return the HTTP response that refuses an upgrade."""
        http_error = http_error_of(error)
        return JSONResponse(http_error.as_body(), http_error.status, http_error.headers)

    async def deny_after_upgrade(self, websocket: WebSocket, error: ClientError) -> None:
        """Accept the connection, send the error and close it, as some protocols require."""
        await websocket.accept(self.subprotocol(websocket))
        await self._refuse(self._socket(websocket), error)

    async def _serve_accepted(self, socket: BoundedWebSocket, websocket: WebSocket) -> None:
        send_away = partial(self._refuse, socket, invalid_api_key("This key is no longer valid."))
        try:
            with self.auth.track(caller_of(websocket.scope), send_away):
                await self._run_session(socket, websocket)
        except ClientError as error:
            await self._refuse(socket, error)
        except WebSocketClosed:
            log.info("client.left_early")
        except asyncio.CancelledError:  # the shutdown timeout has passed; this task ends here anyway
            await socket.close(CLOSE_RESTART, "server_restarting")
        except Exception:  # a fault of the server ends this connection only
            log.exception("connection.failed")
            await self._refuse(socket, internal("The server failed on this connection."))
        finally:
            socket.forget_early()

    def _socket(self, websocket: WebSocket) -> BoundedWebSocket:
        return BoundedWebSocket(
            websocket,
            max_message_bytes=self.max_message_bytes or self.settings.max_message_bytes,
            send_timeout=self.settings.send_timeout_seconds,
        )

    async def _run_session(self, socket: BoundedWebSocket, websocket: WebSocket) -> None:
        back = self.resumption(websocket)
        if back is not None:
            await self._resume(socket, back, caller_of(websocket.scope))
            return
        request = await self.open_connected(websocket, socket)
        name, connected = uuid.uuid4().hex[:12], time.monotonic()
        async with AsyncExitStack() as stack:
            models, description = await self.acquire_models(stack, request.recognizer, socket)
            driver: StreamDriver | MultichannelStream
            recorder: JournalRecorder | None = None
            if request.channels is not None:
                driver = MultichannelStream(models, request.options, name, request.channels, connected)
                stream: StreamInput = driver
            else:
                stream = driver = StreamDriver(models, request.options, name, connected=connected)
                if request.journaled and (recorder := self._new_recorder(name)) is not None:
                    stream = RecordedStream(driver, recorder)
            meter = stack.enter_context(self.admission.policy.track_usage(websocket.scope))
            meter.channels = len(driver.channels)
            stack.callback(lambda: meter.count(driver.received))
            protocol = request.protocol(name, stream, description)
            owner = caller_of(websocket.scope).name
            session = self.new_session(name, driver, protocol, owner, meter, recorder)
            admitted = self.admission.admit(session.stop, driver.channels)
            with admitted, driver, self.registered(session, protocol):
                self._metrics.count_session(owner)
                await session.run(socket)

    @property
    def keeps_journals(self) -> bool:
        """Whether sessions are kept in journals."""
        return self._journals is not None and self._journals.store is not None

    def _new_recorder(self, name: str) -> JournalRecorder | None:
        """Return a new session's recorder; None without journals. Raises ClientError if they are full."""
        store = self._journals.store if self._journals else None
        if store is None:
            return None
        if not store.accepts_new:
            raise overloaded("Sessions cannot be kept at present: the server cannot store more journals.")
        return JournalRecorder(store.open(name))

    def new_session(
        self,
        name: str,
        driver: LiveStream,
        protocol: WireProtocol,
        owner: str | None,
        meter: UsageMeter | None = None,
        recorder: JournalRecorder | None = None,
        resume_seconds: float | None = None,
    ) -> ClientSession:
        """Return a session that is observed as the settings say.

        resume_seconds: how long it waits for a disconnected client; None for the setting
        """
        trace = self._tracer.session(name, type(self).__name__) if self._tracer else None
        return ClientSession(
            name,
            driver,
            protocol,
            self._metrics,
            resume_seconds=self.settings.resume_seconds if resume_seconds is None else resume_seconds,
            no_audio_seconds=self.settings.no_audio_seconds,
            log_bytes=self.settings.resume_bytes,
            owner=owner,
            meter=meter,
            timing=SessionTiming(self._metrics, trace=trace),
            recorder=recorder,
        )

    async def _resume(self, socket: BoundedWebSocket, back: ResumeRequest, caller: Principal) -> None:
        session = self._sessions.find(back.token)
        if session is None and self.admission.draining:
            raise restarting()  # the next server may have it
        if session is None and self._journals is not None and not self._journals.recovered:
            raise models_not_ready("Sessions of the previous server are still being restored.")
        if session is None or session.owner != caller.name:
            raise resume_unknown()
        await session.resume(socket, back.seen)

    @contextmanager
    def registered(self, session: ClientSession, protocol: WireProtocol) -> Iterator[None]:
        """Let clients find the session while it runs and for a while after it has ended."""
        support = protocol.resume_support
        if support is None:
            yield
            return
        self._sessions.add(support.key, session)
        try:
            yield
        finally:
            if session.state is SessionState.SUSPENDED:
                self._sessions.remove(support.key)
            else:
                self._sessions.end(support.key)

    async def acquire_models(
        self, stack: AsyncExitStack, name: str, socket: BoundedWebSocket | None = None
    ) -> tuple[ModelClients, ModelInfo]:
        """Acquire the models until the stack is left; a client that waits for a load counts as a stream.

        What the client sends meanwhile is kept, and its pings are answered.
        socket: the client's; None if it is not connected
        Raises ClientError, and WebSocketClosed if the client leaves meanwhile.
        """
        loop = asyncio.get_running_loop()
        max_bytes = round(self._load_seconds * EARLY_BYTES_PER_SECOND)
        try:
            async with asyncio.timeout(self._load_seconds) as time_limit:

                def stop() -> None:
                    if not time_limit.expired():
                        time_limit.reschedule(loop.time())

                with self.admission.admit(stop):
                    async with socket.reading_ahead(max_bytes, stop) if socket else nullcontext():
                        return await stack.enter_async_context(self.engine.acquire(name))
        except TimeoutError:
            if socket is not None and not socket.is_open:
                raise WebSocketClosed from None
            if self.admission.draining:
                raise restarting() from None
            raise models_not_ready(f"The model {name} is still being loaded.") from None
        except ModelNotReady as error:
            log.info("model.unavailable model=%s reason=%r", name, str(error))
            if not self.engine.ready:
                raise models_not_ready() from None
            raise model_unavailable(f"The model {name} cannot be used now: /ready says why.") from None

    async def _refuse(self, socket: BoundedWebSocket, error: ClientError) -> None:
        self._metrics.errors.labels(error.code).inc()
        try:
            message = self.refusal(error)
            if message is not None:
                await socket.send(message)
        except WebSocketClosed:
            return
        await socket.close(error.close or CLOSE_BAD_REQUEST, error.reason)
