"""Serve files over HTTP with byte ranges, and break as the test demands."""

import base64
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar


class FileServer:
    """Hold what is served.

    files: content by path; content_types: by path; text/html otherwise
    cuts: after how many bytes of the body each of the next responses with a body of a wheel breaks
    statuses: answers to the next requests for wheels in place of the file
    ranges: whether byte ranges are supported; users: whether `user:secret` is required
    hold: an event that the body of a wheel waits for after its first bytes
    requests: path and Range header of each request, in order
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.content_types: dict[str, str] = {}
        self.cuts: list[int] = []
        self.statuses: list[int] = []
        self.ranges = True
        self.users = False
        self.hold: threading.Event | None = None
        self.held = threading.Event()
        self.requests: list[tuple[str, str | None]] = []
        self.url = ""

    def requests_of(self, ending: str) -> list[str | None]:
        """Return the Range headers of the requests whose path has this ending."""
        return [header for path, header in self.requests if path.endswith(ending)]

    def add_page(self, path: str, links: str) -> None:
        """Add an index page in HTML."""
        self.files[path] = f"<!DOCTYPE html><html><body>{links}</body></html>".encode()

    def add_json(self, path: str, files: list[dict[str, object]]) -> None:
        """Add an index page in JSON."""
        self.files[path] = json.dumps({"meta": {"api-version": "1.0"}, "files": files}).encode()
        self.content_types[path] = "application/vnd.pypi.simple.v1+json"


class _Handler(BaseHTTPRequestHandler):
    served: ClassVar[FileServer]

    def do_GET(self) -> None:
        served, header = self.served, self.headers.get("range")
        served.requests.append((self.path, header))
        expected = "Basic " + base64.b64encode(b"user:secret").decode()
        if served.users and self.headers.get("authorization") != expected:
            return self._answer(401, b"")
        content = served.files.get(self.path)
        if content is None:
            return self._answer(404, b"no such file")
        if not self.path.endswith(".whl"):
            return self._answer(200, content)
        if served.statuses:
            return self._answer(served.statuses.pop(0), b"not now")
        match = re.fullmatch(r"bytes=(\d+)-", header or "")
        if not match or not served.ranges:
            return self._answer(200, content)
        start = int(match[1])
        if start >= len(content):
            return self._answer(416, b"", f"bytes */{len(content)}")
        return self._answer(206, content[start:], f"bytes {start}-{len(content) - 1}/{len(content)}")

    def _answer(self, status: int, body: bytes, content_range: str | None = None) -> None:
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.send_header("content-type", self.served.content_types.get(self.path, "text/html"))
        if content_range is not None:
            self.send_header("content-range", content_range)
        self.end_headers()
        if self.path.endswith(".whl") and status in (200, 206):
            if self.served.cuts:
                body = body[: self.served.cuts.pop(0)]
                self.close_connection = True
            if self.served.hold is not None:
                self.wfile.write(body[: len(body) // 2])
                self.wfile.flush()
                self.served.held.set()
                self.served.hold.wait()
                body = body[len(body) // 2 :]
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


class _QuietServer(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore clients that were killed."""


@contextmanager
def file_server() -> Iterator[FileServer]:
    """Run a server on a free port."""
    served = FileServer()
    handler = type("Handler", (_Handler,), {"served": served})
    with _QuietServer(("127.0.0.1", 0), handler) as http:
        threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        served.url = f"http://127.0.0.1:{http.server_port}"
        try:
            yield served
        finally:
            if served.hold is not None:
                served.hold.set()
            http.shutdown()
