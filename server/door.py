"""Door: what the WebSocket doors have in common, from the handshake to the close."""

import asyncio
import logging
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from typing import ClassVar, Final

from fastapi.responses import JSONResponse
from starlette.websockets import WebSocket

from asr.hypothesis import Description
from server.admission import Admission
from server.conversation import Conversation
from server.dialect import Dialect
from server.engine import Engine
from server.envelope import http_error_of
from server.errors import (
    CLOSE_BAD_REQUEST,
    CLOSE_RESTART,
    ClientError,
    internal,
    model_unavailable,
    models_not_ready,
    restarting,
    resume_unknown,
)
from server.metrics import Metrics
from server.recognizers import Unavailable
from server.sessions import Sessions
from server.settings import Settings
from server.socket import Socket, SocketClosed
from stream.options import SessionOptions
from stream.pump import Models, Pump

log = logging.getLogger(__name__)

LOAD_SECONDS: Final = 20.0  # that a client waits for a model that loads


@dataclass(frozen=True, slots=True)
class Opening:
    """What a handshake asks for.

    recognizer: one of the engine's names; options: what the stream starts with
    dialect: made of the connection's name, its pump and what the recognizer is
    """

    recognizer: str
    options: SessionOptions
    dialect: Callable[[str, Pump, Description], Dialect]


@dataclass(frozen=True, slots=True)
class Resumption:
    """A client that comes back. seen: the number of the last message it has seen."""

    token: str
    seen: int


class Door(ABC):
    """What all connections through one door share."""

    max_message_bytes: ClassVar[int | None] = None  # of a door whose protocol says so; else the setting

    def __init__(
        self,
        settings: Settings,
        engine: Engine,
        admission: Admission,
        metrics: Metrics,
        load_seconds: float = LOAD_SECONDS,
    ) -> None:
        self.settings = settings
        self.engine = engine
        self._load_seconds = load_seconds
        self._admission = admission
        self._metrics = metrics
        self._sessions: Sessions[Conversation] = Sessions(settings.resume_seconds, settings.max_sessions)

    def subprotocol(self, websocket: WebSocket) -> str | None:
        """Which of those offered is spoken."""
        return None

    def resumption(self, websocket: WebSocket) -> Resumption | None:
        """None for one that begins a session. Raises ClientError."""
        return None

    @abstractmethod
    def open(self, websocket: WebSocket) -> Opening:
        """Reads the handshake. Raises ClientError."""

    @abstractmethod
    def refusal(self, error: ClientError) -> Mapping[str, object] | None:
        """The message before the close that refuses a connection, or that ends one that failed."""

    def check(self, websocket: WebSocket) -> None:
        """What must hold before the upgrade. Raises ClientError."""
        if self.resumption(websocket) is None:  # one that comes back has its place already
            refusal = self._admission.refusal()
            if refusal is not None:
                raise refusal

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

    async def _serve_accepted(self, socket: Socket, websocket: WebSocket) -> None:
        try:
            await self._converse(socket, websocket)
        except ClientError as error:
            await self._refuse(socket, error)
        except asyncio.CancelledError:  # the server waits no longer; this task ends here anyway
            await socket.close(CLOSE_RESTART, "server_restarting")
        except Exception:  # a fault of ours: said here and to the client, and nobody else notices
            log.exception("a connection failed")
            await self._refuse(socket, internal("The server failed on this connection."))

    def _socket(self, websocket: WebSocket) -> Socket:
        return Socket(
            websocket,
            max_message_bytes=self.max_message_bytes or self.settings.max_message_bytes,
            send_timeout=self.settings.send_timeout_seconds,
        )

    async def _converse(self, socket: Socket, websocket: WebSocket) -> None:
        back = self.resumption(websocket)
        if back is not None:
            await self._resume(socket, back)
            return
        if not self.engine.ready:
            raise models_not_ready()
        opening = self.open(websocket)
        name = uuid.uuid4().hex[:12]
        async with AsyncExitStack() as stack:
            models, description = await self._borrow(stack, opening.recognizer)
            pump = Pump(models, opening.options, name)
            dialect = opening.dialect(name, pump, description)
            conversation = Conversation(
                name,
                pump,
                dialect,
                self._metrics,
                resume_seconds=self.settings.resume_seconds,
                journal_bytes=self.settings.resume_bytes,
            )
            with self._admission.admit(conversation.stop), pump, self._remembered(conversation, dialect):
                self._metrics.sessions_total.inc()
                await conversation.run(socket)

    async def _resume(self, socket: Socket, back: Resumption) -> None:
        conversation = self._sessions.find(back.token)
        if conversation is None:
            raise resume_unknown()
        await conversation.resume(socket, back.seen)

    @contextmanager
    def _remembered(self, conversation: Conversation, dialect: Dialect) -> Iterator[None]:
        """Lets clients find the session, while it lasts and for a while after."""
        comeback = dialect.comeback
        if comeback is None:
            yield
            return
        self._sessions.add(comeback.token, conversation)
        try:
            yield
        finally:
            self._sessions.end(comeback.token)

    async def _borrow(self, stack: AsyncExitStack, name: str) -> tuple[Models, Description]:
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

                with self._admission.admit(stop):
                    return await stack.enter_async_context(self.engine.borrow(name))
        except TimeoutError:
            if self._admission.draining:
                raise restarting() from None
            raise models_not_ready(f"The model {name} is still being loaded.") from None
        except Unavailable as error:
            log.info("cannot lend %s: %s", name, error)
            raise model_unavailable(f"The model {name} cannot be used now: /ready says why.") from None

    async def _refuse(self, socket: Socket, error: ClientError) -> None:
        self._metrics.errors.labels(error.code).inc()
        try:
            message = self.refusal(error)
            if message is not None:
                await socket.send(message)
        except SocketClosed:
            return
        await socket.close(error.close or CLOSE_BAD_REQUEST, error.reason)
