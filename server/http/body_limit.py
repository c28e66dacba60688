"""SmallBody: bodies of requests that hold no file, bounded in bytes and time before they are parsed."""

from contextlib import aclosing
from typing import Final

from fastapi import Request, Response
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.errors import ApiError
from server.http.exception_handlers import GONE, error_response
from server.http.upload import Body

MAX_BYTES: Final = 1 << 20


class BodyLimit:
    """Middleware: reads the whole body first. large: the paths whose doors bound theirs themselves."""

    def __init__(self, app: ASGIApp, *, large: frozenset[str]) -> None:
        self._app = app
        self._large = large

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in self._large:
            await self._app(scope, receive, send)
            return
        try:
            body = await _read(Request(scope, receive))
        except ApiError as error:
            await error_response(error)(scope, receive, send)
            return
        except ClientDisconnect:
            await Response(status_code=GONE)(scope, receive, send)
            return
        held: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive_again() -> Message:
            return held.pop() if held else await receive()

        await self._app(scope, receive_again, send)


async def _read(request: Request) -> bytes:
    """Raises HttpError, ClientDisconnect."""
    body = bytearray()
    async with Body(request, MAX_BYTES) as bounded, aclosing(bounded.chunks(MAX_BYTES)) as chunks:
        async for chunk in chunks:
            body += chunk
    return bytes(body)
