"""KeyCheck: HTTP requests show a key, but on open paths. WebSockets show theirs to their doors."""

import logging
from collections.abc import Callable, Mapping
from typing import Final

from fastapi import Request, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from server.auth.authenticator import Authenticator
from server.errors import ApiError, ClientError
from server.http.exception_handlers import error_response, http_error_of
from server.http.request_id import REQUEST_ID
from server.http.upload import heard_out
from server.observability.log_config import key_name
from server.observability.metrics import Metrics

log = logging.getLogger(__name__)

# Probes have no keys, and the description of the API holds nothing that is not published anyway.
OPEN: Final = frozenset({"/health", "/ready", "/openapi.json"})

Refusal = Callable[[ApiError, str], Response]  # with the id of the request


class ApiKeyMiddleware:
    """Middleware. Whatever path is not named open is closed, also one that is not there.

    open_paths: exact paths, or, with a slash at the end, all below one
    refusals: by path, where a door tells of errors in a shape of its own
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        gate: Authenticator,
        open_paths: frozenset[str],
        refusals: Mapping[str, Refusal],
        metrics: Metrics,
    ) -> None:
        self._app = app
        self._gate = gate
        self._open = frozenset(path for path in open_paths if not path.endswith("/") or path == "/")
        self._open_below = tuple(open_paths - self._open)
        self._refusals = refusals
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not self._is_open(scope["path"]):
            try:
                key_name.set(self._gate.admit(scope).name)
            except ClientError as error:
                await self._refuse(error, scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _is_open(self, path: str) -> bool:
        return path in self._open or path.startswith(self._open_below)

    async def _refuse(self, error: ClientError, scope: Scope, receive: Receive, send: Send) -> None:
        self._metrics.errors.labels(error.code).inc()
        log.info("turned away: %s: %s", error.code, error.message)
        refused = await heard_out(Request(scope, receive), http_error_of(error))
        refusal = self._refusals.get(scope["path"])
        told = refusal(refused, scope[REQUEST_ID]) if refusal is not None else error_response(refused)
        await told(scope, receive, send)
