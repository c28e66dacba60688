"""Envelope: what every HTTP answer has: OpenAI's shape for errors, and an id of the request."""

import logging
import uuid
from http import HTTPStatus
from typing import Final

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.errors import ClientError
from server.http_error import HttpError, invalid, try_again
from server.metrics import Metrics

log = logging.getLogger(__name__)

REQUEST_ID: Final = "stt.request_id"
HEADER: Final = "x-request-id"
GONE: Final = 499  # nginx's number for a client that hung up; nobody reads it but the metrics
PREFIX: Final = "/v1/"  # of the paths that are counted
OTHER: Final = "other"  # path of a request that no route took


def add_envelope(app: FastAPI, metrics: Metrics) -> None:
    """To be called once, for all doors."""
    app.add_exception_handler(HttpError, _on_http_error)
    app.add_exception_handler(ClientError, _on_client_error)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(ClientDisconnect, _on_disconnect)
    app.add_exception_handler(Exception, _on_fault)
    app.add_middleware(RequestMiddleware, metrics=metrics)


def http_error_of(error: ClientError) -> HttpError:
    """What a stream would be told, as the answer to a request."""
    if error.retryable and error.code != "internal_error":
        status = error.status or HTTPStatus.SERVICE_UNAVAILABLE
        return try_again(error.message, error.code, error.param, status=status, retry_after=error.retry_after)
    if error.status is not None:
        headers = {"www-authenticate": "Bearer"} if error.status == HTTPStatus.UNAUTHORIZED else None
        return HttpError(error.status, error.message, param=error.param, code=error.code, headers=headers)
    return HttpError(500 if error.server else 400, error.message, param=error.param, code=error.code)


class RequestMiddleware:
    """Gives each HTTP request an id, which its answer bears, and counts the answers under /v1."""

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


def answer(error: HttpError) -> JSONResponse:
    return JSONResponse(error.as_body(), error.status, error.headers)


async def _on_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HttpError)
    return answer(error)


async def _on_client_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ClientError)
    return answer(http_error_of(error))


async def _on_http_exception(request: Request, error: Exception) -> Response:
    """Of the framework: no such path, or not with this method."""
    assert isinstance(error, HTTPException)
    message = f"{error.detail}: {request.method} {request.url.path}"
    return answer(HttpError(error.status_code, message, headers=dict(error.headers or {})))


async def _on_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    fault = error.errors()[0]
    return answer(invalid(fault["msg"], ".".join(map(str, fault["loc"][1:])) or None))


async def _on_disconnect(request: Request, error: Exception) -> Response:
    log.info("the client hung up")
    return Response(status_code=GONE)


async def _on_fault(request: Request, error: Exception) -> Response:
    """A fault of ours; the framework logs it. It is caught outside of all middleware, hence the header."""
    told = answer(HttpError(500, "The server failed on this request.", code="internal_error"))
    told.headers[HEADER] = request.scope.get(REQUEST_ID, "")
    return told
