"""Give each HTTP request an id, and count responses by route and status."""

import uuid
from http import HTTPStatus
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.observability.metrics import Metrics

REQUEST_ID: Final = "stt.request_id"  # key in the scope
HEADER: Final = "x-request-id"
PREFIX: Final = "/v1/"  # of the paths that are counted
OTHER: Final = "other"  # path of a request that no route took


class RequestMiddleware:
    """Give each HTTP request an id, send it in a header, and count the responses under /v1."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope[REQUEST_ID] = f"req_{uuid.uuid4().hex}"
        status = HTTPStatus.INTERNAL_SERVER_ERROR.value

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (HEADER.encode(), scope[REQUEST_ID].encode())]
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        finally:
            if scope["path"].startswith(PREFIX):
                route = scope.get("route")
                self._metrics.requests.labels(route.path if route else OTHER, status).inc()
