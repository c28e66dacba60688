"""Read the body of a request with a file: samples or a container, or JSON with a URL."""

import tempfile
from collections.abc import AsyncGenerator
from contextlib import aclosing
from hashlib import sha256
from typing import IO, Final

import orjson

from server.errors import invalid
from server.http.upload import PIECE, Body
from streaming.threads import run_in_thread_to_completion

JSON: Final = "application/json"
MAX_URL_BODY: Final = 1 << 16  # bytes of a JSON body with a URL


async def url_in(body: Body) -> str:
    """Return the URL of a body {"url": …}. Raises ApiError, ClientDisconnect."""
    async with aclosing(body.chunks(MAX_URL_BODY)) as chunks:
        document = b"".join([chunk async for chunk in chunks])
    try:
        fields = orjson.loads(document)
    except orjson.JSONDecodeError as error:
        raise invalid(f"The body is not JSON: {error}", code="invalid_body") from None
    url = fields.get("url") if isinstance(fields, dict) else None
    if not isinstance(url, str):
        raise invalid('A JSON body must be {"url": …}.', "url", "invalid_url")
    return url


async def pieces_of(file: IO[bytes]) -> AsyncGenerator[bytes, None]:
    """Yield a file from its position on."""
    while piece := await run_in_thread_to_completion(file.read, PIECE):
        yield piece


async def store(
    audio: AsyncGenerator[bytes, None], file: tempfile.SpooledTemporaryFile[bytes], head: bytes
) -> str:
    """Write `head` and the audio to the file and rewind it; return the sha256 of the audio in hex.

    Raises ApiError, ClientDisconnect.
    """
    digest = sha256()
    file.write(head)
    held: list[bytes] = []

    def write() -> None:
        piece = b"".join(held)
        digest.update(piece)
        file.write(piece)
        held.clear()

    async with aclosing(audio) as chunks:
        async for chunk in chunks:
            held.append(chunk)
            if sum(map(len, held)) >= PIECE:
                await run_in_thread_to_completion(write)
    await run_in_thread_to_completion(write)
    file.seek(0)
    return digest.hexdigest()
