"""Run the HTTP server that is killed, a client of it, and the receiver of the reports about its jobs."""

import http.server
import logging
import os
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from typing import Final

import orjson
import uvicorn

from client.jobs import JobsClient, JobsError
from server.app import create_app
from tests.faults.jobs.processes import AGAIN_SECONDS, Place
from tests.faults.jobs.sounds import sounds
from tests.server.live_server import free_settings

LOST_EVERY: Final = 4  # one try in so many gets no answer, although the report has arrived
REFUSED_EVERY: Final = 4  # one in so many is refused


def free_port() -> int:
    """Return a port of this machine that no process listens on."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
        return port


def serve(place: Place, port: int) -> None:
    """Accept jobs over HTTP until killed; workers of the test do them."""
    assert place.log is not None
    os.dup2(place.log.fileno(), 2)
    settings = free_settings(
        data_dir=str(place.folder),
        database_url=place.database_url,
        jobs_at_once=0,
        rate_limit_per_second=1_000,
    )
    uvicorn.run(create_app(settings, on_failure=lambda: None), port=port, log_config=None)


def submit_over_http(
    port: int, seed: int, names: dict[int, str], callback: str, folder: Path, accepted: Connection
) -> None:
    """Submit a job for each number, again and again until the server has accepted it, and wait for its end.

    accepted: receives the number and the id of each job
    """
    logging.disable()
    paths = {name: folder / f"{name}.wav" for name in sounds(seed)}
    for name, data in sounds(seed).items():
        paths[name].write_bytes(data)
    with JobsClient(f"http://127.0.0.1:{port}", sleep=_sleep_briefly) as jobs:
        for number, name in names.items():
            while True:
                try:
                    job = jobs.submit(paths[name], idempotency_key=f"web-{number}", callback=callback)
                    break
                except JobsError:  # the server is gone, or cannot store the job
                    _sleep_briefly(0)
            accepted.send((number, job["id"]))
            jobs.wait(job["id"])


def _sleep_briefly(seconds: float) -> None:
    time.sleep(AGAIN_SECONDS)


class Receiver:
    """Receive reports; lose the answers to some, and refuse others.

    ids: number of reports with each `webhook-id`
    told: type and job of each report, by its `webhook-id`
    """

    def __init__(self, seed: int) -> None:
        self.ids: Counter[str] = Counter()
        self.told: dict[str, set[tuple[str, str]]] = {}
        self.url = ""
        self._chance = Random(seed)
        self._lock = threading.Lock()

    def receive(self, message_id: str, content: bytes) -> int | None:
        """Note a report, and return the status of the answer; None for no answer."""
        event = orjson.loads(content)
        with self._lock:
            if not self._chance.randrange(REFUSED_EVERY):
                return 503
            self.ids[message_id] += 1
            self.told.setdefault(message_id, set()).add((event["type"], event["data"]["id"]))
            return 200 if self._chance.randrange(LOST_EVERY) else None


@contextmanager
def receiving(seed: int) -> Iterator[Receiver]:
    """Run a receiver of reports."""
    receiver = Receiver(seed)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["content-length"]))
            status = receiver.receive(self.headers["webhook-id"], content)
            if status is not None:
                self.send_response(status)
                self.send_header("content-length", "0")
                self.end_headers()
            self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:
            """Log nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        receiver.url = f"http://127.0.0.1:{server.server_address[1]}/done"
        try:
            yield receiver
        finally:
            server.shutdown()
