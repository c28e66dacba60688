"""Entrance: what is asked of each request and handshake before any door, keys or no keys."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from server.errors import ClientError, keys_needed, origin_not_allowed
from server.http.exception_handlers import error_response, http_error_of
from server.http.origin_policy import OriginPolicy, is_this_machine, name_of
from server.http.upload import heard_out
from server.observability.metrics import Metrics

log = logging.getLogger(__name__)

# Within what websockets takes of a handshake: 8192 bytes a line, 128 headers.
MAX_URL: Final = 8_000  # bytes of path and query
MAX_HEADERS: Final = 100
MAX_HEADER: Final = 8_000  # bytes of one, name and value
MAX_HEAD: Final = 32 << 10  # bytes of all headers


class RequestGuard:
    """Middleware for HTTP and WebSockets.

    on_this_machine: nobody comes from elsewhere, and no page whose name was bent to here (DNS rebinding)
    """

    def __init__(
        self, app: ASGIApp, *, origins: OriginPolicy, on_this_machine: bool, metrics: Metrics
    ) -> None:
        self._app = app
        self._origins = origins
        self._on_this_machine = on_this_machine
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        try:
            self._check(scope)
        except ClientError as error:
            self._metrics.errors.labels(error.code).inc()
            log.info("turned away: %s: %s", error.code, error.message)
            await _deny(error, scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _check(self, scope: Scope) -> None:
        """Raises ClientError."""
        check_head(len(scope.get("raw_path") or b"") + len(scope["query_string"]), scope["headers"])
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        host = headers.get(b"host")
        name = None if host is None else name_of(host)
        if host is not None and name is None:
            raise ClientError("invalid_value", "The Host header names no host.", param="host")
        if self._on_this_machine and not (_came_here(scope) and (name is None or is_this_machine(name))):
            raise keys_needed()
        origin = headers.get(b"origin")
        if origin is not None and not self._origins.allow(origin, host or ""):
            raise origin_not_allowed(origin)


def check_head(url: int, headers: Sequence[tuple[bytes, bytes]]) -> None:
    """url: bytes. Raises ClientError."""
    if url > MAX_URL:
        raise ClientError("url_too_long", f"A URL may have {MAX_URL} bytes; this one has {url}.", status=414)
    sizes = [len(name) + len(value) for name, value in headers]
    if len(sizes) > MAX_HEADERS or max(sizes, default=0) > MAX_HEADER or sum(sizes) > MAX_HEAD:
        bounds = f"{MAX_HEADERS} headers of {MAX_HEADER} bytes, {MAX_HEAD} in all"
        raise ClientError("headers_too_large", f"A request may have {bounds}.", status=431)


def _came_here(scope: Mapping[str, Any]) -> bool:
    """To an address of this machine alone, or to a socket in its file system, which has no port."""
    server = scope.get("server")
    return server is not None and (server[1] is None or is_this_machine(server[0]))


async def _deny(error: ClientError, scope: Scope, receive: Receive, send: Send) -> None:
    told = http_error_of(error)
    if scope["type"] == "http":
        await error_response(await heard_out(Request(scope, receive), told))(scope, receive, send)
    elif "websocket.http.response" in scope.get("extensions", {}):
        await WebSocket(scope, receive, send).send_denial_response(error_response(told))
    else:
        await send({"type": "websocket.close", "code": 1008, "reason": error.code})
