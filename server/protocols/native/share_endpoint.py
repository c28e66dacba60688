"""Serve links with which others follow a live session: make them, and send the text as server-sent events."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack
from functools import partial
from typing import Final

from fastapi import APIRouter, Path, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from server.admission.controller import AdmissionController
from server.auth.api_keys import caller_of
from server.auth.authenticator import Authenticator, credential_of
from server.auth.share_tokens import SharePass, ShareTokens
from server.connection.session_registry import SessionRegistry
from server.errors import ApiError, models_not_ready, restarting, token_not_enough, try_again
from server.http.exception_handlers import http_error_of
from server.http.sse import KEEP_ALIVE, KEEP_ALIVE_SECONDS, EventStream, encoded_event
from server.protocols.native.share_links import ID_CHARS, MAX_LINKS, ShareLink, TooManyLinks, link_id_of
from server.protocols.native.shared_transcript import ShareableSession, SharedTranscript
from server.validation import Whole

log = logging.getLogger(__name__)

SHARED_PATHS: Final = "/v1/shared/"  # need no API key: the token of a link is enough
DEFAULT_SECONDS: Final = 3_600
MAX_SECONDS: Final = 86_400
MAX_READERS: Final = 1_000  # of this process
MAX_SESSION_READERS: Final = 100
RETRY_SECONDS: Final = 10.0  # after which a further reader may try again
LINK_RETRY_SECONDS: Final = 60.0  # the shortest validity of a link
END: Final = b"event: end\ndata: {}\n\n"


class ShareRequest(BaseModel):
    """Parse the body of a request for a link; expires_in: seconds."""

    model_config = ConfigDict(strict=True)

    expires_in: Whole = Field(DEFAULT_SECONDS, ge=60, le=MAX_SECONDS)


class ShareAnswer(BaseModel):
    """Encode a link.

    id: to withdraw it; expires_at: Unix time, in seconds
    link: path of the view in a browser; its fragment has the token
    """

    id: str
    token: str
    expires_at: int
    link: str


class ListedLink(BaseModel):
    """Encode a link without its token; expires_at: Unix time, in seconds."""

    id: str
    expires_at: int


class ShareList(BaseModel):
    """Encode the valid links of a session; readers: that follow it now, over all links."""

    links: list[ListedLink]
    readers: int


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

        @router.get("/v1/sessions/{session_id}/share")
        async def links(request: Request, session_id: str) -> ShareList:
            """List the valid links to a live session of the caller."""
            shared = self._session_of_caller(request, session_id)
            valid = [ListedLink(id=each.id, expires_at=each.expires_at) for each in shared.links.valid]
            return ShareList(links=valid, readers=shared.transcript().readers if shared.is_shared else 0)

        @router.delete("/v1/sessions/{session_id}/share/{link_id}", status_code=204)
        async def withdraw(
            request: Request, session_id: str, link_id: str = Path(pattern=f"^[0-9a-f]{{{ID_CHARS}}}$")
        ) -> None:
            """Withdraw a link, and disconnect those who read with it."""
            self._withdraw(self._session_of_caller(request, session_id), session_id, link_id)

        @router.get(SHARED_PATHS + "{session_id}/events")
        async def events(request: Request, session_id: str) -> Response:
            """Send the text of a shared session as server-sent events, until it ends."""
            return await self._follow(request, session_id)

        return router

    def _share(self, request: Request, session_id: str, body: ShareRequest) -> ShareAnswer:
        shared = self._session_of_caller(request, session_id)
        if shared.transcript().is_over:
            raise _unknown()
        try:
            shared.links.check_capacity()
        except TooManyLinks:
            raise _too_many_links() from None
        token = self._tokens.issue(caller_of(request.scope), session_id, body.expires_in)
        shared.links.add(ShareLink(link_id_of(token.value), token.expires_at))
        log.info("share.created session=%s expires_in=%d", session_id, body.expires_in)
        link = f"/captions#session={session_id}&token={token.value}"
        return ShareAnswer(
            id=link_id_of(token.value), token=token.value, expires_at=token.expires_at, link=link
        )

    def _session_of_caller(self, request: Request, session_id: str) -> ShareableSession:
        caller = caller_of(request.scope)
        if caller.token is not None:
            raise token_not_enough()
        shared = self._sessions.find(session_id)
        if shared is None or shared.owner != caller.name:
            raise _unknown()
        return shared

    def _withdraw(self, shared: ShareableSession, session_id: str, link_id: str) -> None:
        try:
            shared.links.withdraw(link_id, MAX_SECONDS)
        except TooManyLinks:
            raise _too_many_links() from None
        log.info("share.withdrawn session=%s link=%s", session_id, link_id)
        if shared.is_shared:
            shared.transcript().wake()

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
        assert shown is not None
        is_withdrawn = partial(shared.links.is_withdrawn, link_id_of(shown.secret))
        if is_withdrawn():
            raise _refused()
        transcript = shared.transcript()
        if transcript.readers >= MAX_SESSION_READERS:
            message = f"{MAX_SESSION_READERS} readers follow this session, which is the limit."
            raise try_again(message, "reader_limit_reached", status=429, retry_after=RETRY_SECONDS)
        reader = Reader(transcript, request.headers.get("last-event-id"), allowed, is_withdrawn)
        async with AsyncExitStack() as stack:
            stack.enter_context(self._readers.admit())
            stack.enter_context(transcript.reading(reader.wake))
            stack.enter_context(self._auth.track(allowed.owner, reader.revoke))
            return EventStream(reader.events(), stack.pop_all(), headers={}, send_timeout=self._send_timeout)
        raise AssertionError("unreachable")  # no context here swallows an exception


class Reader:
    """Receive the events of a shared session.

    last_event_id: of the last event that the reader has, as its header says; None for a new reader
    is_withdrawn: whether the reader's link was withdrawn
    """

    def __init__(
        self,
        transcript: SharedTranscript,
        last_event_id: str | None,
        allowed: SharePass,
        is_withdrawn: Callable[[], bool] = lambda: False,
    ) -> None:
        self._transcript = transcript
        self._is_withdrawn = is_withdrawn
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
        while not self._is_revoked and not self._is_withdrawn() and (left := self._expires - loop.time()) > 0:
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
                    yield KEEP_ALIVE
        yield _error(_refused())


def _refused() -> ApiError:
    message = "The token of this link is not valid, has expired or was withdrawn."
    return ApiError(401, message, param="token", code="invalid_share_token")


def _unknown() -> ApiError:
    return ApiError(404, "This process has no such live session.", code="session_not_found")


def _too_many_links() -> ApiError:
    message = f"The session has {MAX_LINKS} links that have not expired, which is the limit."
    return try_again(message, "link_limit_reached", status=429, retry_after=LINK_RETRY_SECONDS)


def _error(error: ApiError) -> bytes:
    return encoded_event(error.as_body()["error"], "error")
