"""Limit the bodies of requests without files in size and time, before they are parsed."""

from contextlib import aclosing
from typing import Final

from fastapi import Request, Response
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.errors import ApiError
from server.http.error_formats import ErrorFormats
from server.http.exception_handlers import GONE
from server.http.upload import Body

MAX_BYTES: Final = 1 << 20


class BodyLimit:
    """Read the whole body of a request before the application handles it.

    exempt_paths: paths whose endpoints limit their bodies themselves
    """

    def __init__(self, app: ASGIApp, *, exempt_paths: frozenset[str], formats: ErrorFormats) -> None:
        self._app = app
        self._exempt_paths = exempt_paths
        self._formats = formats

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in self._exempt_paths:
            await self._app(scope, receive, send)
            return
        try:
            body = await _read(Request(scope, receive))
        except ApiError as error:
            await self._formats.response(error, scope)(scope, receive, send)
            return
        except ClientDisconnect:
            await Response(status_code=GONE)(scope, receive, send)
            return
        held: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive_again() -> Message:
            return held.pop() if held else await receive()

        await self._app(scope, receive_again, send)


async def _read(request: Request) -> bytes:
    """Return the body. Raise ApiError if it is too large or too slow, ClientDisconnect if the client left."""
    body = bytearray()
    async with Body(request, MAX_BYTES) as bounded, aclosing(bounded.chunks(MAX_BYTES)) as chunks:
        async for chunk in chunks:
            body += chunk
    return bytes(body)
