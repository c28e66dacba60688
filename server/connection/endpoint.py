"""Door: what the WebSocket doors have in common, from the handshake to the close."""

import asyncio
import logging
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Final, Protocol

from fastapi.responses import JSONResponse
from starlette.websockets import WebSocket

from asr.recognizer import ModelInfo
from engine.engine import Engine
from engine.model_pool import ModelNotReady
from server.admission.controller import AdmissionController
from server.admission.quotas import UsageMeter
from server.auth.api_keys import Principal, caller_of
from server.auth.authenticator import Authenticator
from server.connection.client_session import ClientSession
from server.connection.journal_lifespan import JournalLifespan
from server.connection.protocol import WireProtocol
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
from streaming.options import SessionOptions

if TYPE_CHECKING:
    from server.observability.tracing import Tracer

log = logging.getLogger(__name__)

LOAD_SECONDS: Final = 20.0  # that a client waits for a model that loads


@dataclass(frozen=True, slots=True)
class SessionRequest:
    """What a handshake asks for.

    recognizer: one of the engine's names; options: what the stream starts with
    dialect: made of the connection's name, its pump and what the recognizer is
    """

    recognizer: str
    options: SessionOptions
    dialect: Callable[[str, StreamDriver, ModelInfo], WireProtocol]


@dataclass(frozen=True, slots=True)
class ResumeRequest:
    """A client that comes back. seen: the number of the last message it has seen."""

    token: str
    seen: int


class Resumable(Protocol):
    """A session that a client may come back to. owner: the name of the key that began it"""

    owner: str | None

    async def resume(self, socket: BoundedWebSocket, seen: int) -> None:
        """Until this socket has lost it, or is closed. Raises ClientError."""
        ...

    def forget(self) -> None:
        """Nobody can come back any more."""
        ...


def _forget(session: Resumable) -> None:
    session.forget()


class WebSocketEndpoint(ABC):
    """What all connections through one door share.

    journals: where the door's sessions are kept; None for a protocol whose sessions cannot be resumed
    """

    max_message_bytes: ClassVar[int | None] = None  # of a door whose protocol says so; else the setting

    def __init__(
        self,
        settings: Settings,
        engine: Engine,
        admission: AdmissionController,
        metrics: Metrics,
        load_seconds: float = LOAD_SECONDS,
        *,
        auth: Authenticator,
        tracer: "Tracer | None" = None,
        journals: JournalLifespan | None = None,
    ) -> None:
        self.settings = settings
        self.engine = engine
        self._load_seconds = load_seconds
        self.admission = admission
        self._metrics = metrics
        self.auth = auth
        self._tracer = tracer
        self._journals = journals
        self._sessions = SessionRegistry[Resumable](settings.resume_seconds, settings.max_sessions, _forget)

    def subprotocol(self, websocket: WebSocket) -> str | None:
        """Which of those offered is spoken."""
        return None

    def resumption(self, websocket: WebSocket) -> ResumeRequest | None:
        """None for one that begins a session. Raises ClientError."""
        return None

    @abstractmethod
    def open(self, websocket: WebSocket) -> SessionRequest:
        """Reads the handshake. Raises ClientError."""

    @abstractmethod
    def refusal(self, error: ClientError) -> Mapping[str, object] | None:
        """The message before the close that refuses a connection, or that ends one that failed."""

    def check(self, websocket: WebSocket) -> None:
        """What must hold before the upgrade: first of all, that a key is shown. Raises ClientError."""
        key_name.set(self.auth.admit(websocket.scope).name)
        self.admission.check(websocket.scope, resuming=self.resumption(websocket) is not None)

    async def serve(self, websocket: WebSocket) -> None:
        """One connection, from the handshake to its close."""
        try:
            self.check(websocket)
        except ClientError as error:
            await self.deny(websocket, error)
            return
        await websocket.accept(self.subprotocol(websocket))
        await self._serve_accepted(self._socket(websocket), websocket)

    async def deny(self, websocket: WebSocket, error: ClientError) -> None:
        """Refuses the upgrade with an HTTP answer, where the server under us can, else after it."""
        if "websocket.http.response" not in websocket.scope.get("extensions", {}):
            await self.deny_after_upgrade(websocket, error)
            return
        self._metrics.errors.labels(error.code).inc()
        log.info("turned away: %s: %s", error.code, error.message)
        await websocket.send_denial_response(self.denial(error))

    def denial(self, error: ClientError) -> JSONResponse:
        """The HTTP answer that refuses an upgrade."""
        told = http_error_of(error)
        return JSONResponse(told.as_body(), told.status, told.headers)

    async def deny_after_upgrade(self, websocket: WebSocket, error: ClientError) -> None:
        """Accepts, tells of the error and closes: some protocols want it so."""
        await websocket.accept(self.subprotocol(websocket))
        await self._refuse(self._socket(websocket), error)

    async def _serve_accepted(self, socket: BoundedWebSocket, websocket: WebSocket) -> None:
        send_away = partial(self._refuse, socket, invalid_api_key("This key is no longer valid."))
        try:
            with self.auth.track(caller_of(websocket.scope), send_away):
                await self._converse(socket, websocket)
        except ClientError as error:
            await self._refuse(socket, error)
        except asyncio.CancelledError:  # the server waits no longer; this task ends here anyway
            await socket.close(CLOSE_RESTART, "server_restarting")
        except Exception:  # a fault of ours: said here and to the client, and nobody else notices
            log.exception("a connection failed")
            await self._refuse(socket, internal("The server failed on this connection."))

    def _socket(self, websocket: WebSocket) -> BoundedWebSocket:
        return BoundedWebSocket(
            websocket,
            max_message_bytes=self.max_message_bytes or self.settings.max_message_bytes,
            send_timeout=self.settings.send_timeout_seconds,
        )

    async def _converse(self, socket: BoundedWebSocket, websocket: WebSocket) -> None:
        back = self.resumption(websocket)
        if back is not None:
            await self._resume(socket, back, caller_of(websocket.scope))
            return
        if not self.engine.ready:
            raise models_not_ready()
        opening = self.open(websocket)
        name = uuid.uuid4().hex[:12]
        async with AsyncExitStack() as stack:
            models, description = await self.borrow(stack, opening.recognizer)
            pump = StreamDriver(models, opening.options, name)
            meter = stack.enter_context(self.admission.policy.track_usage(websocket.scope))
            stack.callback(lambda: meter.count(pump.session.received))
            dialect = opening.dialect(name, pump, description)
            owner = caller_of(websocket.scope).name
            conversation = self.conversation(name, pump, dialect, owner, meter)
            with (
                self.admission.admit(conversation.stop, pump),
                pump,
                self.remembered(conversation, dialect),
            ):
                self._metrics.count_session(owner)
                await conversation.run(socket)

    def conversation(
        self,
        name: str,
        pump: StreamDriver,
        dialect: WireProtocol,
        owner: str | None,
        meter: UsageMeter | None = None,
        resume_seconds: float | None = None,
    ) -> ClientSession:
        """resume_seconds: for which it waits for its client; None is as the settings say"""
        trace = self._tracer.session(name, type(self).__name__) if self._tracer else None
        return ClientSession(
            name,
            pump,
            dialect,
            self._metrics,
            resume_seconds=self.settings.resume_seconds if resume_seconds is None else resume_seconds,
            journal_bytes=self.settings.resume_bytes,
            owner=owner,
            meter=meter,
            observer=SessionTiming(self._metrics, trace=trace),
        )

    async def _resume(self, socket: BoundedWebSocket, back: ResumeRequest, caller: Principal) -> None:
        session = self._sessions.find(back.token)
        if session is None and self.admission.draining:
            raise restarting()  # the next server may have it
        if session is None and self._journals is not None and not self._journals.recovered:
            raise models_not_ready("Sessions of the server before are still being taken up.")
        if session is None or session.owner != caller.name:
            raise resume_unknown()
        await session.resume(socket, back.seen)

    @contextmanager
    def remembered(self, conversation: ClientSession, dialect: WireProtocol) -> Iterator[None]:
        """Lets clients find the session, while it lasts and for a while after."""
        comeback = dialect.comeback
        if comeback is None:
            yield
            return
        self._sessions.add(comeback.key, conversation)
        try:
            yield
        finally:
            if conversation.suspended:
                self._sessions.leave(comeback.key)
            else:
                self._sessions.end(comeback.key)

    async def borrow(self, stack: AsyncExitStack, name: str) -> tuple[ModelClients, ModelInfo]:
        """The models, until the stack is left; whoever waits for a load counts as a stream already.

        Nobody reads the socket meanwhile, pongs neither: so the wait is shorter than a ping's time limit.
        Raises ClientError.
        """
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._load_seconds) as patience:

                def stop() -> None:
                    if not patience.expired():
                        patience.reschedule(loop.time())

                with self.admission.admit(stop):
                    return await stack.enter_async_context(self.engine.borrow(name))
        except TimeoutError:
            if self.admission.draining:
                raise restarting() from None
            raise models_not_ready(f"The model {name} is still being loaded.") from None
        except ModelNotReady as error:
            log.info("cannot lend %s: %s", name, error)
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
