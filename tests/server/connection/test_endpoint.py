"""Test the limits of the endpoints over real sockets, and how each protocol refuses a client."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from server.auth.api_keys import digest_of
from tests import plain_http
from tests.server.live_server import Server, free_settings, serve, spoken
from tests.waiting import wait_until

ONE, LITTLE = "one-session-at-a-time", "two-seconds-an-hour"
EVENTS = "?events=session.created,session.closed"


def key(name: str, secret: str, **bounds: float) -> dict[str, object]:
    return {"name": name, "sha256": digest_of(secret).hex(), **bounds}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    file: Path = tmp_path_factory.mktemp("keys") / "keys.json"
    keys = [key("one", ONE, max_sessions=1), key("little", LITTLE, audio_seconds_per_hour=2)]
    file.write_text(json.dumps({"keys": keys}))
    bounds = {"rate_limit_per_second": 0.01, "rate_limit_burst": 2}
    with serve(free_settings(api_keys_file=str(file), metrics_open=True, **bounds)) as running:
        yield running


def bearer(secret: str, **more: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}", **more}


def refused(url: str, headers: dict[str, str]) -> tuple[int, str, int]:
    """Return status, code and Retry-After of a refused handshake."""
    with pytest.raises(InvalidStatus) as refusal, connect(url, additional_headers=headers):
        pass
    answer = refusal.value.response
    code: str = json.loads(answer.body)["error"]["code"]
    return answer.status_code, code, int(answer.headers["retry-after"])


def test_sessions_of_a_key_are_limited(
    server: Server,
) -> None:
    with connect(server.ws + EVENTS, additional_headers=bearer(ONE)) as first:
        first.recv(timeout=20)
        status, code, seconds = refused(server.ws, bearer(ONE))
        assert (status, code) == (429, "session_limit_reached")
        assert seconds >= 1
        first.send(json.dumps({"type": "end_of_stream"}))
        assert json.loads(first.recv(timeout=20))["type"] == "session.closed"
        with pytest.raises(ConnectionClosed):
            first.recv(timeout=20)
    wait_until(lambda: server.metric("stt_open_sessions") == 0)
    with connect(server.ws + EVENTS, additional_headers=bearer(ONE)) as second:
        assert json.loads(second.recv(timeout=20))["type"] == "session.created"


def test_realtime_refusal_is_sent_after_the_upgrade(server: Server) -> None:
    wait_until(lambda: server.metric("stt_open_sessions") == 0)
    with connect(server.ws + EVENTS, additional_headers=bearer(ONE)) as first:
        first.recv(timeout=20)
        url = server.url.replace("http", "ws") + "/v1/realtime?intent=transcription"
        with connect(url, additional_headers=bearer(ONE)) as late:
            assert json.loads(late.recv(timeout=20))["error"]["code"] == "rate_limit_exceeded"
            with pytest.raises(ConnectionClosed) as closed:
                late.recv(timeout=20)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 4029
            assert closed.value.rcvd.reason == "invalid_request_error.rate_limit_exceeded"
        files = {"file": ("a.wav", b"RIFF")}
        answer = plain_http.post(
            f"{server.url}/v1/audio/transcriptions", files=files, headers=bearer(ONE), timeout=60
        )
        assert answer.status_code == 429
        assert answer.json()["error"]["code"] == "rate_limit_exceeded"
        assert int(answer.headers["retry-after"]) >= 1


def pushed(stream: ClientConnection, pcm: bytes) -> None:
    """Send all audio, and read until the server closes."""
    for start in range(0, len(pcm), 3200):
        stream.send(pcm[start : start + 3200])
    while True:
        stream.recv(timeout=20)


def test_key_beyond_its_audio_quota_is_closed(
    server: Server,
) -> None:
    with connect(server.ws, additional_headers=bearer(LITTLE), max_size=None) as stream:
        with pytest.raises(ConnectionClosed) as closed:
            pushed(stream, spoken())
        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4029, "rate_limit_exceeded")
    status, code, seconds = refused(server.ws, bearer(LITTLE))
    assert (status, code) == (429, "rate_limit_exceeded")
    assert 3500 < seconds <= 3661


def test_rate_limit_of_an_address_covers_every_endpoint(server: Server) -> None:
    """Send the address in the header of a proxy on this machine."""
    headers = bearer(ONE, **{"X-Forwarded-For": "192.0.2.7"})
    files = {"file": ("a.wav", b"RIFF")}
    statuses = [
        plain_http.post(
            f"{server.url}/v1/audio/transcriptions", files=files, headers=headers, timeout=60
        ).status_code
        for _ in range(3)
    ]
    assert statuses == [400, 400, 429]
    assert refused(server.ws, headers)[:2] == (429, "rate_limit_exceeded")
    assert plain_http.get(f"{server.url}/v1/models", headers=headers, timeout=60).status_code == 200
