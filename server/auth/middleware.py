"""Refuse HTTP requests without a valid key, except on open paths.

WebSocket endpoints check the keys of their handshakes themselves.
"""

import logging
from typing import Final

from fastapi import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from server.auth.authenticator import Authenticator
from server.errors import ClientError
from server.http.error_formats import ErrorFormats
from server.http.exception_handlers import http_error_of
from server.http.upload import drain_refused_body
from server.observability.log_config import key_name
from server.observability.metrics import Metrics

log = logging.getLogger(__name__)

# Probes have no keys, and the description of the API is public anyway.
OPEN_PATHS: Final = frozenset({"/health", "/ready", "/openapi.json"})


class ApiKeyMiddleware:
    """Require a valid key on every path that is not listed as open, including paths that do not exist.

    open_paths: exact paths; one that ends with a slash opens all paths below it
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        auth: Authenticator,
        open_paths: frozenset[str],
        formats: ErrorFormats,
        metrics: Metrics,
    ) -> None:
        self._app = app
        self._auth = auth
        self._open = frozenset(path for path in open_paths if not path.endswith("/") or path == "/")
        self._open_below = tuple(open_paths - self._open)
        self._formats = formats
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not self._is_open(scope["path"]):
            try:
                key_name.set(self._auth.admit(scope).name)
            except ClientError as error:
                await self._refuse(error, scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _is_open(self, path: str) -> bool:
        return path in self._open or path.startswith(self._open_below)

    async def _refuse(self, error: ClientError, scope: Scope, receive: Receive, send: Send) -> None:
        self._metrics.errors.labels(error.code).inc()
        log.info("request.refused code=%s reason=%s", error.code, error.message)
        refused = await drain_refused_body(Request(scope, receive), http_error_of(error))
        await self._formats.response(refused, scope)(scope, receive, send)
