"""Check the head, the host and the origin of each request and handshake before authentication."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from server.errors import KEYS_NEEDED, ORIGIN_NOT_ALLOWED, ClientError, keys_needed, origin_not_allowed
from server.http.error_formats import openai_error
from server.http.exception_handlers import http_error_of
from server.http.origin_policy import OriginPolicy, host_name, is_this_machine
from server.http.refusal_page import refusal_page, wants_page
from server.http.upload import drain_refused_body
from server.observability.metrics import Metrics

log = logging.getLogger(__name__)

# Below the limits of the websockets library for a handshake: 8192 bytes a line, 128 headers.
MAX_URL: Final = 8_000  # bytes of path and query
MAX_HEADERS: Final = 100
MAX_HEADER: Final = 8_000  # bytes of one header, name and value
MAX_HEAD: Final = 32 << 10  # bytes of all headers


class RequestGuard:
    """Refuse HTTP requests and WebSocket handshakes that fail the checks.

    on_this_machine: serve only clients on this machine, and refuse host names that DNS rebinding directs here
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
            if error.code == ORIGIN_NOT_ALLOWED and _is_preflight(scope):
                # The request that follows is refused, with a response that the page can read.
                await Response(headers=_readable(scope))(scope, receive, send)
                return
            self._metrics.errors.labels(error.code).inc()
            log.info("request.refused code=%s reason=%s", error.code, error.message)
            await _deny(error, scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _check(self, scope: Scope) -> None:
        """Raise ClientError if a check fails."""
        check_head(len(scope.get("raw_path") or b"") + len(scope["query_string"]), scope["headers"])
        headers = dict(_text_headers(scope))
        host = headers.get(b"host")
        name = None if host is None else host_name(host)
        if host is not None and name is None:
            raise ClientError("invalid_value", "The Host header names no host.", param="host")
        if self._on_this_machine and not (
            _is_to_this_machine(scope) and (name is None or is_this_machine(name))
        ):
            raise keys_needed()
        origin = headers.get(b"origin")
        if origin is not None and not self._origins.allow(origin, host or ""):
            raise origin_not_allowed(origin)


def check_head(url: int, headers: Sequence[tuple[bytes, bytes]]) -> None:
    """Raise ClientError if the URL or the headers are too large.

    url: length in bytes
    """
    if url > MAX_URL:
        raise ClientError(
            "url_too_long", f"A URL may have at most {MAX_URL} bytes; this one has {url}.", status=414
        )
    sizes = [len(name) + len(value) for name, value in headers]
    if len(sizes) > MAX_HEADERS or max(sizes, default=0) > MAX_HEADER or sum(sizes) > MAX_HEAD:
        bounds = f"{MAX_HEADERS} headers of {MAX_HEADER} bytes, {MAX_HEAD} in all"
        raise ClientError("headers_too_large", f"A request may have {bounds}.", status=431)


def _text_headers(scope: Mapping[str, Any]) -> Iterator[tuple[bytes, str]]:
    return ((name, value.decode("latin-1")) for name, value in scope["headers"])


def _is_to_this_machine(scope: Mapping[str, Any]) -> bool:
    """Return whether a request came to a loopback address or to a Unix socket, which has no port."""
    server = scope.get("server")
    return server is not None and (server[1] is None or is_this_machine(server[0]))


def _is_preflight(scope: Mapping[str, Any]) -> bool:
    """Return whether a browser asks what a page may send, except into a private network."""
    names = {name for name, _ in scope["headers"]}
    return (
        scope["type"] == "http"
        and scope["method"] == "OPTIONS"
        and b"access-control-request-method" in names
        and b"access-control-request-private-network" not in names
    )


def _readable(scope: Mapping[str, Any]) -> dict[str, str]:
    """Return the headers with which a page of any origin can read the refusal of its request."""
    headers = Headers(raw=scope["headers"])
    return {
        "access-control-allow-origin": headers["origin"],
        "access-control-allow-methods": headers.get("access-control-request-method", "GET"),
        "access-control-allow-headers": headers.get("access-control-request-headers", ""),
        "access-control-max-age": "0",
        "vary": "Origin",
    }


async def _deny(error: ClientError, scope: Scope, receive: Receive, send: Send) -> None:
    api_error = http_error_of(error)
    if error.code == ORIGIN_NOT_ALLOWED:
        api_error.headers.update(_readable(scope))
    if error.code == KEYS_NEEDED and wants_page(scope, dict(_text_headers(scope))):
        port = (scope.get("server") or (None, None))[1]
        await refusal_page(error.message, api_error.status, port)(scope, receive, send)
    elif scope["type"] == "http":
        drained = await drain_refused_body(Request(scope, receive), api_error)
        await openai_error(drained, scope)(scope, receive, send)
    elif "websocket.http.response" in scope.get("extensions", {}):
        await WebSocket(scope, receive, send).send_denial_response(openai_error(api_error, scope))
    else:
        await send({"type": "websocket.close", "code": 1008, "reason": error.code})
