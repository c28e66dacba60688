"""Run web servers whose answers a test writes byte by byte."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


@asynccontextmanager
async def answering(
    *answers: bytes, host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None
) -> AsyncIterator[tuple[str, list[str]]]:
    """Run a web server that gives these answers in turn; yield its address and the requests it received.

    A request is its head, and its body if it declares the length.
    """
    heard: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = next(
            (line.split(":")[1] for line in head.lower().split("\r\n") if line.startswith("content-length:")),
            "0",
        )
        heard.append(head + (await reader.readexactly(int(length))).decode())
        writer.write(answers[len(heard) - 1])
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, host, port, ssl=tls) as server:
        port = server.sockets[0].getsockname()[1]
        yield f"http{'s' if tls else ''}://{host}:{port}", heard


def answer(status: int, content: bytes = b"", **headers: str) -> bytes:
    fields = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status} X\r\n{fields}content-length: {len(content)}\r\n\r\n".encode() + content


def ok(content: bytes) -> bytes:
    return answer(200, content)


def onward(location: str) -> bytes:
    return f"HTTP/1.1 302 Found\r\nlocation: {location}\r\n\r\n".encode()


@asynccontextmanager
async def site(pages: dict[str, bytes]) -> AsyncIterator[tuple[str, list[str]]]:
    """Run a web server with these answers by path; yield its address and the paths that were requested."""
    heard: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        method, path, _ = (await reader.readuntil(b"\r\n\r\n")).decode().split(" ", 2)
        heard.append(path)
        found = pages.get(path, answer(404))
        writer.write(found.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" if method == "HEAD" else found)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", heard
