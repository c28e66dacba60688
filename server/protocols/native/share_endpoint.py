"""Serve links with which others follow a live session: make them, and send the text as server-sent events."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack
from typing import Final

import orjson
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

from server.admission.controller import AdmissionController
from server.auth.api_keys import caller_of
from server.auth.authenticator import Authenticator, credential_of
from server.auth.share_tokens import SharePass, ShareTokens
from server.connection.session_registry import SessionRegistry
from server.errors import ApiError, models_not_ready, restarting, token_not_enough, try_again
from server.http.exception_handlers import http_error_of
from server.http.sse import EventStream
from server.protocols.native.shared_transcript import ShareableSession, SharedTranscript

log = logging.getLogger(__name__)

SHARED_PATHS: Final = "/v1/shared/"  # need no API key: the token of a link is enough
DEFAULT_SECONDS: Final = 3_600
MAX_SECONDS: Final = 86_400
MAX_READERS: Final = 1_000  # of this process
MAX_SESSION_READERS: Final = 100
RETRY_SECONDS: Final = 10.0  # after which a further reader may try again
KEEP_ALIVE_SECONDS: Final = 15.0  # proxies close connections on which nothing is sent
END: Final = b"event: end\ndata: {}\n\n"


class ShareRequest(BaseModel):
    """Parse the body of a request for a link; expires_in: seconds."""

    expires_in: int = Field(DEFAULT_SECONDS, ge=60, le=MAX_SECONDS)


class ShareAnswer(BaseModel):
    """Encode a link.

    expires_at: Unix time, in seconds; link: path of the view in a browser; its fragment has the token
    """

    token: str
    expires_at: int
    link: str


class ShareEndpoint:
    """Share the live sessions of this process.

    has_recovered: whether the sessions of the previous server can be found
    readers: admits readers, of all sessions together
    send_timeout: seconds after which a reader that does not read is disconnected
    """

    def __init__(
        self,
        sessions: SessionRegistry[ShareableSession],
        tokens: ShareTokens,
        auth: Authenticator,
        has_recovered: Callable[[], bool],
        readers: AdmissionController,
        send_timeout: float,
    ) -> None:
        self._sessions = sessions
        self._tokens = tokens
        self._auth = auth
        self._has_recovered = has_recovered
        self._readers = readers
        self._send_timeout = send_timeout

    def router(self) -> APIRouter:
        """Return the routes."""
        router = APIRouter(tags=["sharing"])

        @router.post("/v1/sessions/{session_id}/share")
        async def share(request: Request, session_id: str, body: ShareRequest | None = None) -> ShareAnswer:
            """Make a link with which others read a live session of the caller until it expires or ends."""
            return self._share(request, session_id, body or ShareRequest())

        @router.get(SHARED_PATHS + "{session_id}/events")
        async def events(request: Request, session_id: str) -> Response:
            """Send the text of a shared session as server-sent events, until it ends."""
            return await self._follow(request, session_id)

        return router

    def _share(self, request: Request, session_id: str, body: ShareRequest) -> ShareAnswer:
        caller = caller_of(request.scope)
        if caller.token is not None:
            raise token_not_enough()
        shared = self._sessions.find(session_id)
        if shared is None or shared.owner != caller.name or shared.transcript().is_over:
            raise _unknown()
        token = self._tokens.issue(caller, session_id, body.expires_in)
        log.info("share.created session=%s expires_in=%d", session_id, body.expires_in)
        link = f"/captions#session={session_id}&token={token.value}"
        return ShareAnswer(token=token.value, expires_at=token.expires_at, link=link)

    async def _follow(self, request: Request, session_id: str) -> Response:
        shown = credential_of(request.scope)
        allowed = None if shown is None else self._tokens.pass_of(shown.secret)
        if allowed is None or allowed.session != session_id:
            raise _refused()
        self._readers.check(request.scope, resuming=True)  # only the rate limit: `admit` checks the number
        shared = self._sessions.find(session_id)
        if shared is None and not self._has_recovered():
            raise models_not_ready("Sessions of the previous server are still being restored.")
        if shared is None or shared.owner != allowed.owner.name:
            raise _unknown()
        transcript = shared.transcript()
        if transcript.readers >= MAX_SESSION_READERS:
            message = f"{MAX_SESSION_READERS} readers follow this session, which is the limit."
            raise try_again(message, "reader_limit_reached", status=429, retry_after=RETRY_SECONDS)
        reader = Reader(transcript, request.headers.get("last-event-id"), allowed)
        async with AsyncExitStack() as stack:
            stack.enter_context(self._readers.admit())
            stack.enter_context(transcript.reading(reader.wake))
            stack.enter_context(self._auth.track(allowed.owner, reader.revoke))
            return EventStream(reader.events(), stack.pop_all(), headers={}, send_timeout=self._send_timeout)
        raise AssertionError("unreachable")  # no context here swallows an exception


class Reader:
    """Receive the events of a shared session.

    last_event_id: of the last event that the reader has, as its header says; None for a new reader
    """

    def __init__(self, transcript: SharedTranscript, last_event_id: str | None, allowed: SharePass) -> None:
        self._transcript = transcript
        self._number = transcript.first(last_event_id)
        self._changed = asyncio.Event()
        self._is_revoked = False
        self._expires = asyncio.get_running_loop().time() + allowed.expires_at - time.time()

    def wake(self) -> None:
        """Look for new events."""
        self._changed.set()

    async def revoke(self) -> None:
        """End the events: the key of the session's owner is no longer valid."""
        self._is_revoked = True
        self.wake()

    async def events(self, keep_alive_seconds: float = KEEP_ALIVE_SECONDS) -> AsyncGenerator[bytes, None]:
        """Yield the events, and at last `end`, or `error` if the reader may not or cannot read on."""
        loop = asyncio.get_running_loop()
        while not self._is_revoked and (left := self._expires - loop.time()) > 0:
            self._changed.clear()
            if (event := self._transcript.after(self._number)) is not None:
                self._number = event.number
                yield event.encoded
            elif self._transcript.is_over:
                yield _error(http_error_of(restarting())) if self._transcript.is_suspended else END
                return
            else:
                try:
                    async with asyncio.timeout(min(keep_alive_seconds, left)):
                        await self._changed.wait()
                except TimeoutError:
                    yield b": keep-alive\n\n"
        yield _error(_refused())


def _refused() -> ApiError:
    message = "The token of this link is not valid, or has expired."
    return ApiError(401, message, param="token", code="invalid_share_token")


def _unknown() -> ApiError:
    return ApiError(404, "This process has no such live session.", code="session_not_found")


def _error(error: ApiError) -> bytes:
    return b"event: error\ndata: %s\n\n" % orjson.dumps(error.as_body()["error"])
