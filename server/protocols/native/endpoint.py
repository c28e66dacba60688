"""Serve the native protocol of docs/protocol.md over the WebSocket /ws/stt."""

import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.websockets import WebSocket

from asr.recognizer import ModelInfo
from journal.recorder import JournalRecorder, RecordedStream
from journal.replay import ReplayedSession
from journal.session_journal import SessionJournal
from journal.store import JournalStore
from server.connection.client_session import ClientSession, SessionState
from server.connection.ended_session import EndedSession
from server.connection.endpoint import ResumeRequest, SessionRequest, WebSocketEndpoint
from server.connection.protocol import StreamInput, WireProtocol
from server.connection.session_registry import SessionRegistry, digest, new_token
from server.errors import CLOSE_BAD_REQUEST, ClientError
from server.http.exception_handlers import http_error_of
from server.http.url_parameters import contradictory_parameter
from server.protocols.native.protocol import NativeEndedMessages, NativeProtocol
from server.protocols.native.session_config import SessionConfig, session_from_query
from server.protocols.native.session_state import restore_config
from server.protocols.native.shared_transcript import ShareableSession
from streaming.driver import StreamDriver

SUBPROTOCOL: Final = "stt"
# After so many servers that waited for a session's client without success, the next ones wait only briefly:
# otherwise sessions without clients would accumulate while a server restarts again and again.
TAKEOVERS_BEFORE_SHORT_RESUME: Final = 2
SHORT_RESUME_SECONDS: Final = 10.0


class NativeEndpoint(WebSocketEndpoint):
    """Serve sessions at /ws/stt, which clients can resume, also at the next server."""

    @cached_property
    def shareable(self) -> SessionRegistry[ShareableSession] | None:
        """The sessions that may be shared, by their ids; None if the settings allow none."""
        settings = self.settings
        if not settings.share_sessions:
            return None
        return SessionRegistry(settings.resume_seconds, settings.max_sessions)

    @contextmanager
    def registered(self, session: ClientSession, protocol: WireProtocol) -> Iterator[None]:
        """Let readers find the session, too, and those who lost their connection also after its end."""
        if self.shareable is None:
            with super().registered(session, protocol):
                yield
            return
        key, entry = digest(session.id), ShareableSession(session)
        self.shareable.add(key, entry)
        try:
            with super().registered(session, protocol):
                yield
        finally:
            if entry.is_shared and session.state is not SessionState.SUSPENDED:
                self.shareable.end(key)
            else:
                self.shareable.remove(key)

    async def continue_session(self, name: str, recovered: ReplayedSession, log: SessionJournal) -> None:
        """Continue a session that another server left behind.

        Raises ClientError if its model cannot be used, and KeyError, TypeError, ValueError if its journal is
        not one of this protocol.
        """
        recorder, head = JournalRecorder(log, replaying=True), recovered.head
        config = restore_config(head["preferences"])
        async with AsyncExitStack() as stack:
            models, _ = await self.acquire_models(stack, head["model"])
            driver = StreamDriver(models, config.options, name, begun=recovered.begun)
            protocol = NativeProtocol.restored(
                name, RecordedStream(driver, recorder), head, recovered.refused
            )
            owner: str | None = head["owner"]
            meter = stack.enter_context(self.admission.policy.track_recovered(self.auth.owner(owner)))
            meter.start_at(driver.received)
            stack.callback(lambda: meter.count(driver.received))
            resume_seconds = self.settings.resume_seconds
            if recovered.failed_takeovers >= TAKEOVERS_BEFORE_SHORT_RESUME:
                resume_seconds = min(resume_seconds, SHORT_RESUME_SECONDS)
            session = self.new_session(name, driver, protocol, owner, meter, recorder, resume_seconds)
            stack.enter_context(self.admission.admit(session.stop, driver.channels, force=True))
            with driver, self.registered(session, protocol):
                await session.run_recovered(recovered)

    def keep_ended(
        self, name: str, head: Mapping[str, Any], files: Sequence[Path], disk: JournalStore
    ) -> None:
        """Keep a session that ended under the previous server: its client may still resume it for a while.

        Raises KeyError, TypeError, ValueError if its journal is not one of this protocol.
        """
        key = bytes.fromhex(head["key"])
        encoder = NativeEndedMessages(name)
        session = EndedSession(name, head["owner"], encoder, files, disk, self.settings.resume_bytes)
        self._sessions.add(key, session)
        self._sessions.end(key)

    def open(self, websocket: WebSocket) -> SessionRequest:
        query = _once(websocket.query_params.multi_items())
        recognizer = self._recognizer(query)
        config = SessionConfig(self.settings.session_options()).begun(session_from_query(query))
        # Only session.created carries the token, so a client that does not receive it cannot resume.
        resumable = self.settings.resume_seconds > 0 and "session.created" in config.events

        journaled = resumable and config.apart is None  # a journal holds one channel

        def protocol(name: str, stream: StreamInput, description: ModelInfo) -> NativeProtocol:
            token = new_token() if resumable else None
            greeting = self._greeting(description, journaled)
            return NativeProtocol(name, stream, config, greeting, model=recognizer, token=token)

        return SessionRequest(recognizer, config.options, protocol, journaled, config.apart)

    async def availability(self, request: Request) -> JSONResponse:
        """Answer a GET without an upgrade: 200 if a session may begin, else the refusal of a handshake.

        A page cannot read why its handshake was refused, so it asks here. `lag_ms` says how long finals wait.
        """
        lag = {"lag_ms": round(1000 * self.admission.policy.load_shedder.lag)}
        try:
            self.admission.check(request.scope)
        except ClientError as error:
            refused = http_error_of(error)
            return JSONResponse(refused.as_body() | lag, refused.status, refused.headers)
        return JSONResponse(lag)

    def subprotocol(self, websocket: WebSocket) -> str | None:
        """Accept `stt`, which browsers offer beside `stt-key.KEY`."""
        return SUBPROTOCOL if SUBPROTOCOL in websocket.scope.get("subprotocols", ()) else None

    def resumption(self, websocket: WebSocket) -> ResumeRequest | None:
        query = websocket.query_params
        if "resume" not in query:
            return None
        seen = query.get("ack", "0")
        if not re.fullmatch("[0-9]{1,12}", seen):
            raise ClientError("invalid_value", "`ack` must be the `seq` of a message.", param="ack")
        return ResumeRequest(query["resume"], int(seen))

    def refusal(self, error: ClientError) -> Mapping[str, object]:
        return {**error.as_event(), "event_id": "event_0", "seq": 0}

    def _recognizer(self, query: dict[str, str]) -> str:
        """Return the name of a configured recognizer. Raises ClientError for any other."""
        recognizers = self.engine.recognizers
        asked = query.get("model", recognizers.default)
        name = recognizers.resolve(asked)
        if name is None:
            known = ", ".join(recognizers.names)
            raise ClientError(
                "invalid_value", f"No model {asked[:100]!r} here; known: {known}", param="model"
            )
        return name

    def _greeting(self, description: ModelInfo, journaled: bool) -> dict[str, object]:
        return {
            "journaled": journaled and self.keeps_journals,
            "limits": {"max_message_bytes": self.settings.max_message_bytes},
            "recognizer": dataclasses.asdict(description),
        }


def _once(query: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Return the parameters of a URL. Raises ClientError for one with different values."""
    name = contradictory_parameter(query)
    if name is not None:
        message = f"`{name}` was sent with different values."
        raise ClientError("invalid_value", message, param=name, close=CLOSE_BAD_REQUEST)
    return dict(query)
