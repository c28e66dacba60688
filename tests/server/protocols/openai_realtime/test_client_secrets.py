"""ClientSecrets: keys that last a while and bring their settings along."""

import httpx
import pytest
from fastapi import FastAPI

from server.auth.api_keys import ApiKey, Principal, digest_of
from server.errors import ClientError
from server.http.exception_handlers import add_exception_handlers
from server.http.request_id import RequestMiddleware
from server.observability.metrics import Metrics
from server.protocols.openai_realtime.client_secrets import (
    MAX_BYTES,
    MAX_PER_KEY,
    MAX_SECRETS,
    ClientSecrets,
    client_secrets_router,
)
from server.protocols.openai_realtime.session_config import RealtimeConfig
from streaming.options import SessionOptions

PLAIN = RealtimeConfig(SessionOptions())


class Clock:
    """Stands still until it is set."""

    def __init__(self) -> None:
        self.now = 1_000_000.5

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def secrets(clock: Clock) -> ClientSecrets:
    return ClientSecrets(clock)


@pytest.fixture
def http(secrets: ClientSecrets) -> httpx.AsyncClient:
    app = FastAPI()
    app.add_middleware(RequestMiddleware, metrics=Metrics())
    add_exception_handlers(app)
    app.include_router(client_secrets_router(secrets, PLAIN))
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://server")


def test_a_key_is_valid_until_it_expires(clock: Clock, secrets: ClientSecrets) -> None:
    secret = secrets.mint(PLAIN, 60)
    assert secret.value.startswith("ek_")
    assert secret.expires_at == 1_000_060
    assert secrets.session_of(secret.value) is PLAIN
    clock.now = 1_000_060
    assert secrets.session_of(secret.value) is None
    assert secrets.session_of("ek_unknown") is None


def test_of_too_many_keys_the_expired_make_room_and_then_no_more_are_made(
    clock: Clock, secrets: ClientSecrets
) -> None:
    for _ in range(MAX_SECRETS):
        secrets.mint(PLAIN, 60)
    with pytest.raises(ClientError, match="client secrets are valid"):
        secrets.mint(PLAIN, 60)
    clock.now += 60
    secrets.mint(PLAIN, 60)
    assert len(secrets) == 1


def test_large_settings_are_bounded_together(clock: Clock, secrets: ClientSecrets) -> None:
    for _ in range(2):
        secrets.mint(PLAIN, 60, weight=MAX_BYTES // 2)
    with pytest.raises(ClientError, match="client secrets are valid"):
        secrets.mint(PLAIN, 60, weight=1)
    clock.now += 60
    secrets.mint(PLAIN, 60, weight=MAX_BYTES)


def test_one_key_leaves_room_for_the_others(clock: Clock, secrets: ClientSecrets) -> None:
    alice, bob = (Principal(ApiKey(name, digest_of(name))) for name in ("alice", "bob"))
    for _ in range(MAX_PER_KEY):
        secrets.mint(PLAIN, 60, alice)
    with pytest.raises(ClientError, match="of this key"):
        secrets.mint(PLAIN, 60, alice)
    secrets.mint(PLAIN, 60, bob)
    clock.now += 60
    secrets.mint(PLAIN, 60, alice)


def test_a_secret_stands_for_who_made_it_and_makes_no_other(clock: Clock, secrets: ClientSecrets) -> None:
    alice = Principal(ApiKey("alice", digest_of("alice")))
    value = secrets.mint(PLAIN, 60, alice).value
    caller = secrets.caller_of(value)
    assert caller is not None
    assert caller.key is alice.key
    assert caller.token is not None
    assert caller.token not in value
    with pytest.raises(ClientError, match="cannot create a token"):
        secrets.mint(PLAIN, 60, caller)
    clock.now += 60
    assert secrets.caller_of(value) is None
    assert secrets.caller_of("ek_unknown") is None


async def test_a_key_is_told_with_the_settings_that_it_brings(
    http: httpx.AsyncClient, secrets: ClientSecrets
) -> None:
    session = {"type": "transcription", "audio": {"input": {"transcription": {"language": "de"}}}}
    asked = {"expires_after": {"anchor": "created_at", "seconds": 7_200}, "session": session}
    told = (await http.post("/v1/realtime/client_secrets", json=asked)).json()
    assert told["expires_at"] == 1_000_000 + 7_200
    assert told["session"]["audio"]["input"]["transcription"]["language"] == "de"
    assert told["session"]["id"].startswith("sess_")
    kept = secrets.session_of(told["value"])
    assert kept is not None
    assert kept.options.asr.language == "de"


@pytest.mark.parametrize("odd", ["1" * 400, '"\\ud800"', "1e999"])
async def test_odd_settings_that_nobody_knows_are_ignored(http: httpx.AsyncClient, odd: str) -> None:
    body = f'{{"session": {{"type": "transcription", "unknown": {odd}}}}}'
    answer = await http.post(
        "/v1/realtime/client_secrets", content=body, headers={"content-type": "application/json"}
    )
    assert answer.status_code in (200, 400)


async def test_nothing_need_be_said(http: httpx.AsyncClient) -> None:
    told = (await http.post("/v1/realtime/client_secrets")).json()
    assert told["expires_at"] == 1_000_000 + 600
    assert told["session"]["object"] == "realtime.transcription_session"


@pytest.mark.parametrize(
    ("path", "object_"),
    [("transcription_sessions", "realtime.transcription_session"), ("sessions", "realtime.session")],
)
async def test_the_beta_protocol_has_its_own_shape(
    http: httpx.AsyncClient, secrets: ClientSecrets, path: str, object_: str
) -> None:
    asked = {"input_audio_format": "g711_ulaw", "input_audio_transcription": {"model": "whisper-1"}}
    told = (await http.post(f"/v1/realtime/{path}", json=asked)).json()
    assert (told["object"], told["input_audio_format"]) == (object_, "g711_ulaw")
    assert secrets.session_of(told["client_secret"]["value"]) is not None


@pytest.mark.parametrize(
    "asked",
    [
        {"expires_after": {"seconds": 9}},
        {"expires_after": {"seconds": 7_201}},
        {"session": {"audio": {"input": {"format": {"rate": 1}}}}},
        {"session": 5},
        [],
    ],
)
async def test_a_bad_request_is_told_in_openais_envelope(http: httpx.AsyncClient, asked: object) -> None:
    answer = await http.post("/v1/realtime/client_secrets", json=asked)
    assert answer.status_code == 400
    assert answer.json()["error"].keys() == {"message", "type", "param", "code"}
