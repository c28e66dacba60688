"""Send requests of /v1/jobs to a server."""

import json
from typing import Any

import httpx
import numpy as np

from tests import plain_http
from tests.server.asgi_calls import interleaved
from tests.server.live_server import ROOT, Message, Server, first_sentence
from tests.waiting import wait_until

SPOKEN = (ROOT / "test.wav").read_bytes()
ALICE, BOB = "the-key-of-alice-0", "the-key-of-bob-0"
_SENTENCE = np.frombuffer(first_sentence(), "<i2") / np.float32(32_768)
_SILENCE = np.zeros_like(_SENTENCE)
# The second channel speaks before the first one.
CALL = interleaved(
    np.concatenate([_SILENCE, _SENTENCE, _SILENCE]), np.concatenate([_SENTENCE, _SILENCE, _SILENCE])
)
FINAL = ("succeeded", "failed", "cancelled")


def ask(server: Server, method: str, path: str = "", *, key: str = ALICE, **more: Any) -> httpx.Response:
    headers = {"authorization": f"Bearer {key}"} | more.pop("headers", {})
    return plain_http.request(method, f"{server.url}/v1/jobs{path}", headers=headers, timeout=60, **more)


def submit(server: Server, data: bytes = SPOKEN, *, key: str = ALICE, **fields: Any) -> Message:
    answer = ask(server, "POST", key=key, files={"file": ("talk.wav", data)}, data=fields)
    assert answer.status_code == 202, answer.text
    job: Message = answer.json()
    assert answer.headers["location"] == f"/v1/jobs/{job['id']}"
    return job


def ended(server: Server, job: Message, key: str = ALICE) -> Message:
    """Wait until a job has ended."""
    found: Message = job

    def has_ended() -> bool:
        nonlocal found
        found = ask(server, "GET", f"/{job['id']}", key=key).json()
        return found["status"] in FINAL

    wait_until(has_ended)
    return found


def error_of(answer: httpx.Response) -> tuple[int, str | None, str | None]:
    error = answer.json()["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    return answer.status_code, error["param"], error["code"]


def events_of(text: str) -> list[tuple[str, Message]]:
    found = []
    for block in filter(None, text.split("\n\n")):
        if not block.startswith(":"):
            kind, data = block.split("\n")
            found.append((kind.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return found
