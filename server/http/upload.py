"""Receive the body of a request into a temporary file, within limits on size and time."""

import asyncio
import tempfile
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import IO, Final, Self

import orjson
from starlette.requests import ClientDisconnect, Request

from audio.base64_text import decode_base64
from server.errors import ApiError, invalid, too_large
from server.http.multipart import FILE, MultipartForm
from streaming.threads import run_in_thread_to_completion

IN_MEMORY: Final = 1 << 20  # bytes of an upload; a larger one goes to disk
PIECE: Final = 1 << 18  # bytes that are written at once
MAX_JSON_BYTES: Final = 36 << 20  # held in memory: 25 MiB of audio in base64, and the other fields
IDLE_SECONDS: Final = 30.0  # without a byte
MIN_BYTES_PER_SECOND: Final = 1 << 10  # mean over the body, against clients that send very slowly
LINGER_SECONDS: Final = (
    2.0  # a refused body is read for so long: a client that is sending may miss the response
)
LINGER_BYTES: Final = 64 << 20


@dataclass(frozen=True, slots=True)
class Upload:
    """Hold a received form or JSON object.

    fields: names and values in order; values are texts in a form, and any type in JSON
    file: positioned at its beginning; None if there was none
    file_name: name that the client gave to the file, without folders; "" if there was none
    is_json: whether the fields are of a JSON object
    """

    fields: Sequence[tuple[str, object]]
    file: IO[bytes] | None
    file_name: str = ""
    is_json: bool = False


class Body:
    """Read the body of a request in chunks, with a timeout.

    If an ApiError leaves the context, the rest of the body is read for a short time, so that the client gets
    the response. If there is more, the response closes the connection.

    limit: maximum size in bytes; idle_seconds: maximum time without data; now: returns the time, in seconds
    """

    def __init__(
        self,
        request: Request,
        limit: int,
        idle_seconds: float = IDLE_SECONDS,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.limit = limit
        self._idle_seconds = idle_seconds
        self._request = request
        self._now = now
        self._began = now()
        self._read = 0
        self._ended = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, ApiError) and not self._ended:
            await self._linger()
            if not self._ended:
                error.headers["connection"] = "close"

    async def chunks(self, limit: int) -> AsyncGenerator[bytes, None]:
        """Yield the chunks of the body.

        limit: maximum size in bytes

        Raises ApiError with 413 if the body is larger, with 408 if it is too slow, and ClientDisconnect.
        """
        declared = self._request.headers.get("content-length", "")
        if declared.isdecimal() and int(declared) > limit:
            raise too_large(limit, int(declared))
        while not self._ended:
            chunk = await self._next()
            self._read += len(chunk)
            if self._read > limit:
                raise too_large(limit, self._read)
            yield chunk

    async def _next(self) -> bytes:
        try:
            async with asyncio.timeout(self._timeout()):
                message = await self._request.receive()
        except TimeoutError:
            raise ApiError(
                408, "The body of the request did not arrive, or arrived too slowly.", code="request_timeout"
            ) from None
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        self._ended = not message.get("more_body", False)
        chunk: bytes = message.get("body", b"")
        return chunk

    def _timeout(self) -> float:
        """Return the seconds in which the next bytes must arrive. Raise TimeoutError if none are left."""
        lead = self._idle_seconds + self._read / MIN_BYTES_PER_SECOND - (self._now() - self._began)
        if lead <= 0:
            raise TimeoutError
        return min(self._idle_seconds, lead)

    async def _linger(self) -> None:
        """Read and discard the body for a short time.

        Closing a socket with unread bytes sends a reset, which may overtake the response.
        """
        if "expect" in self._request.headers:  # the client waits for 100 Continue and has sent no body
            return
        read = 0
        try:
            async with asyncio.timeout(LINGER_SECONDS):
                while read < LINGER_BYTES and not self._ended:
                    message = await self._request.receive()
                    read += len(message.get("body", b""))
                    self._ended = not message.get("more_body", False)
        except TimeoutError:
            pass


def media_type_of(request: Request) -> str:
    """Return the media type of the body without parameters, or "" if the request names none."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def drain_refused_body(request: Request, error: ApiError) -> ApiError:
    """Read and discard the body for a short time, then return the error.

    A client that is still sending may miss the response.
    """
    try:
        async with Body(request, 0):
            raise error
    except ApiError as refused:
        return refused


@asynccontextmanager
async def receive_upload(request: Request, body: Body, file_field: str = FILE) -> AsyncIterator[Upload]:
    """Yield the upload, whose file is deleted after the context. Raise ApiError or ClientDisconnect.

    file_field: name of the part of a form that is the file
    """
    with tempfile.SpooledTemporaryFile(IN_MEMORY) as file:
        kind = media_type_of(request)
        if kind == "multipart/form-data":
            upload = await _receive_form(
                MultipartForm(request.headers["content-type"], file_field), body, file
            )
        elif kind == "application/json":
            upload = await _receive_json(body, file)
        else:
            raise ApiError(415, "The body must be multipart/form-data or application/json.")
        file.seek(0)
        yield upload


async def _receive_form(form: MultipartForm, body: Body, file: IO[bytes]) -> Upload:
    held: list[bytes] = []
    async with aclosing(body.chunks(body.limit)) as chunks:
        async for chunk in chunks:
            held += form.feed(chunk)
            if sum(map(len, held)) >= PIECE:
                await run_in_thread_to_completion(file.write, b"".join(held))
                held.clear()
    form.finish()
    await run_in_thread_to_completion(file.write, b"".join(held))
    return Upload(form.fields, file if form.has_file else None, form.file_name)


async def _receive_json(body: Body, file: IO[bytes]) -> Upload:
    document = bytearray()
    async with aclosing(body.chunks(min(body.limit, MAX_JSON_BYTES))) as chunks:
        async for chunk in chunks:
            document += chunk
    return await run_in_thread_to_completion(_unpack, document, file)


def _unpack(document: bytearray, file: IO[bytes]) -> Upload:
    """Decode a JSON body: the fields of the form, and `input_audio` with `data` in base64."""
    try:
        fields = orjson.loads(document)
    except orjson.JSONDecodeError as error:
        raise invalid(f"The body is not JSON: {error}", code="invalid_body") from None
    if not isinstance(fields, dict):
        raise invalid("The body must be a JSON object.", code="invalid_body")
    audio = fields.pop("input_audio", None)
    if audio is not None:
        file.write(_decoded(audio))
    return Upload(list(fields.items()), None if audio is None else file, is_json=True)


def _decoded(audio: object) -> bytes:
    data = audio.get("data") if isinstance(audio, Mapping) else None
    if not isinstance(data, str):
        raise invalid("`input_audio.data` must be audio in base64.", "input_audio")
    try:
        return decode_base64(data)
    except ValueError:
        raise invalid("`input_audio.data` is not base64.", "input_audio", "invalid_audio") from None
