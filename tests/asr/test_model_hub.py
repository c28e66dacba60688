"""Hub requests over local sockets, and a cache in the layout of the hub's own client."""

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from asr import model_hub
from asr.errors import ModelUnavailable


@contextmanager
def server(status: int) -> Iterator[str]:
    """Run a hub that responds to every request with one status."""

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response(status)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as http:
        threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()


@pytest.mark.parametrize("status", [200, 401, 403, 429])
def test_a_hub_that_answers_is_worth_trying(status: int) -> None:
    with server(status) as endpoint:
        assert model_hub.unavailable_reason("org/name", 5, endpoint) is None


@pytest.mark.parametrize("status", [404, 500, 503])
def test_a_hub_without_the_model_or_out_of_order_is_told(status: int) -> None:
    with server(status) as endpoint:
        assert f"{endpoint}/org/name" in str(model_hub.unavailable_reason("org/name", 5, endpoint))
        assert str(status) in str(model_hub.unavailable_reason("org/name", 5, endpoint))


def test_a_refused_connection_is_told() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # and does not listen
        endpoint = f"http://127.0.0.1:{closed.getsockname()[1]}"
        assert f"{endpoint} cannot be reached" in str(model_hub.unavailable_reason("org/name", 5, endpoint))


def test_a_hub_that_never_answers_is_not_waited_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        endpoint = f"http://127.0.0.1:{mute.getsockname()[1]}"
        assert model_hub.unavailable_reason("org/name", 0.05, endpoint) is not None


def test_an_address_that_is_none_is_told() -> None:
    assert "nonsense cannot be reached" in str(model_hub.unavailable_reason("org/name", 5, "nonsense"))


def test_a_certificate_is_not_judged_here() -> None:
    """A TLS error shows that a server responded."""
    with server(200) as endpoint:
        assert model_hub.unavailable_reason("org/name", 5, endpoint.replace("http:", "https:")) is None


def test_offline_is_not_asked() -> None:
    told = subprocess.run(
        [
            sys.executable,
            "-c",
            "from asr import model_hub; print(model_hub.unavailable_reason('org/name', 5))",
        ],
        env={"HF_HUB_OFFLINE": "1", "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert told.stdout.strip() == "HF_HUB_OFFLINE is set"


def test_a_snapshot_in_the_cache_is_found(tmp_path: Path) -> None:
    repository = tmp_path / "models--org--name"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("abc123")
    snapshot = repository / "snapshots" / "abc123"
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text("{}")

    assert model_hub.cached_snapshot("org/name", tmp_path) == snapshot
    assert model_hub.cached_snapshot("org/other", tmp_path) is None


@pytest.mark.parametrize("name", ["a/b/c", "../name", "/no/such/folder", "a..b"])
def test_what_is_no_id_is_told(name: str, tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match="nor a model id of the hub"):
        model_hub.cached_snapshot(name, tmp_path)


class Library(BaseHTTPRequestHandler):
    """Serve one model with all kinds of files that a hub stores."""

    protocol_version = "HTTP/1.1"
    files: ClassVar = {
        "config.json": b"{}",
        "vocab.txt": b"a b c",
        "model.safetensors": b"weights",
        "pytorch_model.bin": b"the same",
        "model.fp32-00001-of-00002.safetensors": b"the same, twice as large",
        "onnx/model.onnx": b"the same",
        "checkpoint/model.safetensors": b"not quite the same",
    }

    def do_GET(self) -> None:
        self._answer(self._content())

    def do_HEAD(self) -> None:
        self._answer(self._content(), body=False)

    def _content(self) -> bytes:
        if "/resolve/" in self.path:
            return self.files[self.path.split("/resolve/")[1].split("/", 1)[1]]
        if "/tree/" in self.path:
            tree = [
                {"type": "file", "path": name, "size": len(data), "oid": "0"}
                for name, data in self.files.items()
            ]
            return json.dumps(tree).encode()
        return json.dumps({"id": "org/name", "sha": "c" * 40, "siblings": []}).encode()

    def _answer(self, content: bytes, body: bool = True) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("ETag", f'"{sha256(content).hexdigest()}"')
        self.send_header("X-Repo-Commit", "c" * 40)
        self.end_headers()
        if body:
            self._write(content)

    def _write(self, content: bytes) -> None:
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        pass


class OldLibrary(Library):
    """Serve a model without safetensors."""

    files: ClassVar = {name: data for name, data in Library.files.items() if "safetensors" not in name}


@contextmanager
def library(handler: type[Library]) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as http:
        threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()


@pytest.mark.parametrize(
    ("handler", "weights"), [(Library, "model.safetensors"), (OldLibrary, "pytorch_model.bin")]
)
def test_of_a_model_one_copy_of_the_weights_is_fetched(
    handler: type[Library], weights: str, tmp_path: Path
) -> None:
    with library(handler) as endpoint:
        snapshot = model_hub.download("org/name", 5, endpoint=endpoint, cache=tmp_path)
    assert snapshot == model_hub.cached_snapshot("org/name", tmp_path)
    assert {path.name for path in snapshot.rglob("*")} == {"config.json", "vocab.txt", weights}


def test_download_reports_bytes_and_draws_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    reports = list[tuple[str, int, int | None]]()
    with library(Library) as endpoint:
        snapshot = model_hub.download(
            "org/name", 5, lambda *report: reports.append(report), endpoint, tmp_path
        )
    size = sum(path.stat().st_size for path in snapshot.rglob("*"))
    assert reports[-1] == ("org/name", size, size)
    assert capfd.readouterr() == ("", "")


def test_what_cannot_be_fetched_is_told(tmp_path: Path) -> None:
    with server(404) as endpoint, pytest.raises(ModelUnavailable, match="org/name cannot be downloaded"):
        model_hub.download("org/name", 5, endpoint=endpoint, cache=tmp_path)
