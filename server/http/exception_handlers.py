"""Answer each error of a request in the format of its path (server/http/error_formats.py)."""

import logging
from collections.abc import Callable
from http import HTTPStatus
from typing import Final

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from server.errors import ApiError, ClientError, invalid, missing, try_again
from server.http.error_formats import ErrorFormats
from server.http.request_id import HEADER, REQUEST_ID
from server.validation import sentence_of

log = logging.getLogger(__name__)

GONE: Final = 499  # nginx's status for a client that disconnected; only the metrics read it


def add_exception_handlers(app: FastAPI, formats: ErrorFormats | None = None) -> None:
    """Answer every exception of every route with an error response.

    formats: of the responses; None for OpenAI's on all paths
    """
    chosen = formats or ErrorFormats()

    def answer(kind: type[Exception], error_of: Callable[[Request, Exception], ApiError]) -> None:
        async def handle(request: Request, exception: Exception) -> Response:
            error = error_of(request, exception)
            log.info("error.sent code=%s message=%r", error.code, error.message)
            response = chosen.response(error, request.scope)
            if kind is Exception:  # it is caught outside of all middleware, which adds the id otherwise
                response.headers[HEADER] = request.scope.get(REQUEST_ID, "")
            return response

        app.add_exception_handler(kind, handle)

    answer(ApiError, _of_api_error)
    answer(ClientError, _of_client_error)
    answer(HTTPException, _of_http_exception)
    answer(RequestValidationError, _of_invalid_request)
    answer(Exception, _of_fault)
    app.add_exception_handler(ClientDisconnect, _on_disconnect)


def http_error_of(error: ClientError) -> ApiError:
    """Return the HTTP error that corresponds to an error of a stream."""
    if error.retryable and error.code != "internal_error":
        status = error.status or HTTPStatus.SERVICE_UNAVAILABLE
        return try_again(error.message, error.code, error.param, status=status, retry_after=error.retry_after)
    if error.status is not None:
        headers = {"www-authenticate": "Bearer"} if error.status == HTTPStatus.UNAUTHORIZED else None
        return ApiError(error.status, error.message, param=error.param, code=error.code, headers=headers)
    return ApiError(500 if error.server else 400, error.message, param=error.param, code=error.code)


def _of_api_error(request: Request, error: Exception) -> ApiError:
    assert isinstance(error, ApiError)
    return error


def _of_client_error(request: Request, error: Exception) -> ApiError:
    assert isinstance(error, ClientError)
    return http_error_of(error)


def _of_http_exception(request: Request, error: Exception) -> ApiError:
    """Return the error of the framework for an unknown path, or a method that the path does not take."""
    assert isinstance(error, HTTPException)
    message = f"{error.detail}: {request.method} {request.url.path}"
    return ApiError(error.status_code, message, headers=dict(error.headers or {}))


def _of_invalid_request(request: Request, error: Exception) -> ApiError:
    assert isinstance(error, RequestValidationError)
    fault = error.errors()[0]
    param = ".".join(map(str, fault["loc"][1:]))  # The first part is where it was sent: query, path or body.
    if fault["type"] == "missing" and param:
        return missing(param)
    if fault["type"] == "json_invalid" or not param:
        return invalid(f"Invalid body: {sentence_of(fault)}.")
    return invalid(f"Invalid '{param}': {sentence_of(fault)}.", param)


def _of_fault(request: Request, error: Exception) -> ApiError:
    """Return the error for an exception of the server, which the framework logs."""
    return ApiError(500, "The server failed on this request.", code="internal_error")


async def _on_disconnect(request: Request, error: Exception) -> Response:
    log.info("request.client_disconnected")
    return Response(status_code=GONE)
