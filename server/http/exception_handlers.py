"""Answer each error of a request in the shape of OpenAI's API."""

import logging
from http import HTTPStatus
from typing import Final

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from server.errors import ApiError, ClientError, invalid, missing, try_again
from server.http.request_id import HEADER, REQUEST_ID
from server.validation import sentence_of

log = logging.getLogger(__name__)

GONE: Final = 499  # nginx's status for a client that disconnected; only the metrics read it


def add_exception_handlers(app: FastAPI) -> None:
    """Answer every exception of every route with an error response."""
    app.add_exception_handler(ApiError, _on_http_error)
    app.add_exception_handler(ClientError, _on_client_error)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(ClientDisconnect, _on_disconnect)
    app.add_exception_handler(Exception, _on_fault)


def http_error_of(error: ClientError) -> ApiError:
    """Return the HTTP error that corresponds to an error of a stream."""
    if error.retryable and error.code != "internal_error":
        status = error.status or HTTPStatus.SERVICE_UNAVAILABLE
        return try_again(error.message, error.code, error.param, status=status, retry_after=error.retry_after)
    if error.status is not None:
        headers = {"www-authenticate": "Bearer"} if error.status == HTTPStatus.UNAUTHORIZED else None
        return ApiError(error.status, error.message, param=error.param, code=error.code, headers=headers)
    return ApiError(500 if error.server else 400, error.message, param=error.param, code=error.code)


def error_response(error: ApiError) -> JSONResponse:
    """Return the error in the shape of OpenAI's API."""
    return JSONResponse(error.as_body(), error.status, error.headers)


async def _on_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    return error_response(error)


async def _on_client_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ClientError)
    return error_response(http_error_of(error))


async def _on_http_exception(request: Request, error: Exception) -> Response:
    """Answer an error of the framework: an unknown path or a method that it does not take."""
    assert isinstance(error, HTTPException)
    message = f"{error.detail}: {request.method} {request.url.path}"
    return error_response(ApiError(error.status_code, message, headers=dict(error.headers or {})))


async def _on_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    fault = error.errors()[0]
    param = ".".join(map(str, fault["loc"][1:]))  # The first part is where it was sent: query, path or body.
    if fault["type"] == "missing" and param:
        return error_response(missing(param))
    if fault["type"] == "json_invalid" or not param:
        return error_response(invalid(f"Invalid body: {sentence_of(fault)}."))
    return error_response(invalid(f"Invalid '{param}': {sentence_of(fault)}.", param))


async def _on_disconnect(request: Request, error: Exception) -> Response:
    log.info("request.client_disconnected")
    return Response(status_code=GONE)


async def _on_fault(request: Request, error: Exception) -> Response:
    """Answer an internal error, which the framework logs.

    It is caught outside of all middleware, so the request id is added here.
    """
    response = error_response(ApiError(500, "The server failed on this request.", code="internal_error"))
    response.headers[HEADER] = request.scope.get(REQUEST_ID, "")
    return response
