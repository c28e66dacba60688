"""Run a chat endpoint on this machine that records its requests and gives scripted answers."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Request = dict[str, Any]
Answer = tuple[int, bytes]
PIECE = 3  # characters


def says(text: object) -> Answer:
    """Return the answer of a model that writes a text; `chat_server` divides it if a stream is asked for."""
    return 200, json.dumps({"choices": [{"message": {"role": "assistant", "content": text}}]}).encode()


def streamed(*pieces: object) -> bytes:
    """Return an answer in pieces as server-sent events."""
    chunks = [{"choices": [{"delta": {"content": piece}}]} for piece in pieces]
    ends: list[object] = [{"choices": [{"delta": {}, "finish_reason": "stop"}]}, {"choices": []}]
    return b"".join(b"data: %s\n\n" % json.dumps(each).encode() for each in [*chunks, *ends]) + (
        b"data: [DONE]\n\n"
    )


def _pieces(content: bytes) -> bytes:
    """Return the events of an answer, three characters in each; what is no answer stays as it is."""
    try:
        text = json.loads(content)["choices"][0]["message"]["content"]
    except (ValueError, LookupError, TypeError):
        return content
    if not isinstance(text, str):
        return streamed(text)
    return streamed(*(text[at : at + PIECE] for at in range(0, len(text), PIECE)))


class ChatServer:
    """Hold what was received.

    requests: bodies; headers: of the requests, names in lower case; url: base URL of the API
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.requests: list[Request] = []
        self.headers: list[dict[str, str]] = []


@contextmanager
def chat_server(answer: Callable[[Request], Answer]) -> Iterator[ChatServer]:
    """Serve POST /v1/chat/completions; `answer` gets the body of a request, in a thread of its own."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            served.requests.append(body)
            served.headers.append({name.lower(): value for name, value in self.headers.items()})
            status, content = answer(body) if self.path == "/v1/chat/completions" else (404, b"")
            kind = "application/json"
            if status == 200 and body.get("stream"):
                content, kind = _pieces(content), "text/event-stream"
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(content)))
            with suppress(ConnectionError):  # The client may not have waited.
                self.end_headers()
                self.wfile.write(content)

        def log_message(self, format: str, *arguments: object) -> None:
            """Write nothing to stderr."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        served = ChatServer(f"http://127.0.0.1:{server.server_address[1]}/v1")
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield served
        finally:
            server.shutdown()
            thread.join()
