"""Map the spellings of a path that clients use to the paths of the routes, and answer unknown WebSockets."""

import re
from collections.abc import Callable, MutableMapping, Sequence
from typing import Any, Final

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from server.errors import ApiError, ClientError
from server.http.error_formats import openai_error
from server.http.exception_handlers import http_error_of

DEPLOYMENT: Final = "stt.deployment"  # key in the scope: the model that Azure's path names
# Azure's paths of files and models; /openai/deployments/NAME and /openai are those before its version 1.
AZURE: Final = re.compile(
    r"/openai(?:/v1|/deployments/(?P<deployment>[^/]+))?(?P<path>/audio/.+|/models|/models/.+)"
)


class PathMiddleware:
    """Rewrite the path of each request and handshake, before anything depends on it.

    A trailing slash is dropped, Azure's paths become OpenAI's, and HEAD is answered as GET without the body.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket"):
            scope["path"], deployment = canonical_path(scope["path"])
            if deployment is not None:
                scope[DEPLOYMENT] = deployment
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return
        scope["method"] = "GET"

        async def send_without_body(message: Message) -> None:
            if message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        await self._app(scope, receive, send_without_body)


def canonical_path(path: str) -> tuple[str, str | None]:
    """Return the path of the route, and the model that Azure's path names; None without one."""
    path = path.rstrip("/") or "/"
    azure = AZURE.fullmatch(path)
    return (path, None) if azure is None else (f"/v1{azure['path']}", azure["deployment"])


def deployment_of(connection: HTTPConnection) -> str | None:
    """Return the model that Azure's path of a request names; None without one."""
    deployment: str | None = connection.scope.get(DEPLOYMENT)
    return deployment


class UnknownPath:
    """Answer the handshakes of paths without a WebSocket: 401 without a key, as over HTTP, else 404.

    http: answers the requests of unknown paths
    admit: checks the key of a handshake; raises ClientError
    websockets: paths that the response names
    """

    def __init__(
        self, http: ASGIApp, admit: Callable[[MutableMapping[str, Any]], object], websockets: Sequence[str]
    ) -> None:
        self._http = http
        self._admit = admit
        self._websockets = websockets

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "websocket" or "websocket.http.response" not in scope.get("extensions", {}):
            await self._http(scope, receive, send)
            return
        try:
            self._admit(scope)
            known = ", ".join(self._websockets)
            error = ApiError(404, f"Not Found: {scope['path'][:200]} is no WebSocket. There are {known}.")
        except ClientError as refused:
            error = http_error_of(refused)
        await WebSocket(scope, receive, send).send_denial_response(openai_error(error, scope))
