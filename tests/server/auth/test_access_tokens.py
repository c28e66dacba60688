"""Test that tokens identify their key and are valid as long as both."""

import base64
import json

import httpx
import jwt
import pytest
from fastapi import FastAPI, Request
from hypothesis import given
from hypothesis import strategies as st
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.responses import Response

from server.auth.access_tokens import AccessTokens, tokens_router
from server.auth.api_keys import ANYONE, CALLER, ApiKey, ApiKeys, Principal, digest_of
from server.http.exception_handlers import add_exception_handlers
from server.http.request_id import RequestMiddleware
from server.observability.metrics import Metrics
from tests.server.auth.test_api_keys import Clock

SECRET = "thirty-two characters, or a bit more"
ALICE = ApiKey("alice", digest_of("the key of alice"))
KEYS = ApiKeys([ALICE, ApiKey("a.l_i-ce", digest_of("another"))])


def test_token_identifies_its_key_until_it_expires() -> None:
    clock = Clock()
    tokens = AccessTokens(SECRET, KEYS, clock)
    token = tokens.issue(Principal(ALICE), 60, sessions=2)
    assert token.expires_at == 1_060
    caller = tokens.caller_of(token.value)
    assert caller is not None
    assert (caller.key, caller.token_sessions) == (ALICE, 2)
    assert caller.token is not None
    clock.now = 1_059.9
    assert tokens.caller_of(token.value) == caller
    clock.now = 1_060.0
    assert tokens.caller_of(token.value) is None


def test_each_token_has_its_own_id() -> None:
    tokens = AccessTokens("", KEYS)
    named = KEYS.named("a.l_i-ce")
    callers = [tokens.caller_of(tokens.issue(Principal(named), 60).value) for _ in range(10)]
    assert {caller.key for caller in callers if caller} == {named}
    assert len({caller.token for caller in callers if caller}) == 10


def test_token_is_invalid_if_its_key_is_revoked_or_replaced() -> None:
    keys = ApiKeys([ALICE])
    tokens = AccessTokens(SECRET, keys)
    token = tokens.issue(Principal(ALICE), 60)
    keys.replace([])
    assert tokens.caller_of(token.value) is None
    keys.replace([ApiKey("alice", digest_of("made anew"))])
    assert tokens.caller_of(token.value) is None
    keys.replace([ALICE])
    assert tokens.caller_of(token.value) is not None


def test_token_outlives_the_process_only_with_a_secret() -> None:
    assert (
        AccessTokens(SECRET, KEYS).caller_of(AccessTokens(SECRET, KEYS).issue(Principal(ALICE), 60).value)
        is not None
    )
    assert AccessTokens("", KEYS).caller_of(AccessTokens("", KEYS).issue(Principal(ALICE), 60).value) is None


def test_token_issued_without_keys_is_invalid_with_keys() -> None:
    token = AccessTokens(SECRET, None).issue(ANYONE, 60)
    caller = AccessTokens(SECRET, None).caller_of(token.value)
    assert caller is not None
    assert caller.key is None
    assert AccessTokens(SECRET, KEYS).caller_of(token.value) is None


@given(st.integers(min_value=0), st.characters(codec="utf-8"))
def test_changed_token_is_invalid(place: int, character: str) -> None:
    tokens = AccessTokens(SECRET, KEYS)
    value = tokens.issue(Principal(ALICE), 60, sessions=1).value
    place %= len(value)
    changed = value[:place] + character + value[place + 1 :]
    if changed != value and place < len(value) - 1:  # some bits of the last base64 character are unused
        assert tokens.caller_of(changed) is None


@given(st.text())
def test_other_text_is_no_token(text: str) -> None:
    assert AccessTokens(SECRET, KEYS).caller_of(text) is None
    assert AccessTokens(SECRET, KEYS).caller_of(f"tk_{text}") is None


def segment(content: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()


def nested(times: int) -> str:
    return base64.urlsafe_b64encode(b"[" * times).rstrip(b"=").decode()


@pytest.mark.parametrize(
    "token",
    [
        segment({"alg": "none", "kid": "alice"}) + "." + segment({"jti": "a", "exp": 9e9}) + ".",
        jwt.encode({"jti": "a", "exp": 9_000_000_000}, SECRET, "HS256", {"kid": "alice"}),
        jwt.encode({"jti": "a", "exp": 9_000_000_000}, ALICE.digest, "HS256", {"kid": "alice"}),
        segment({"alg": "HS256", "kid": 5}) + ".e30.e30",
        segment([]) + ".e30.e30",
        nested(300) + ".e30.e30",
        nested(100_000) + ".e30.e30",
        "\udcff.e30.e30",
    ],
    ids=["unsigned", "secret", "digest", "kid", "no object", "nested", "long", "no Unicode"],
)
def test_forged_token_is_refused(token: str) -> None:
    assert AccessTokens(SECRET, KEYS).caller_of(f"tk_{token}") is None


def test_token_of_the_longest_name_is_accepted() -> None:
    key = ApiKey("n" * 64, digest_of("long"))
    tokens = AccessTokens(SECRET, ApiKeys([key]))
    caller = tokens.caller_of(tokens.issue(Principal(key), 7_200, sessions=100_000).value)
    assert caller is not None
    assert (caller.key, caller.token_sessions) == (key, 100_000)


def test_token_can_stand_in_a_url_and_a_subprotocol() -> None:
    value = AccessTokens(SECRET, KEYS).issue(Principal(ALICE), 60, sessions=1).value
    assert set(value) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.")


def asked_by(caller: Principal) -> httpx.AsyncClient:
    app = FastAPI()

    async def authenticate(request: Request, call_next: RequestResponseEndpoint) -> Response:
        request.scope[CALLER] = caller
        return await call_next(request)

    app.add_middleware(BaseHTTPMiddleware, dispatch=authenticate)
    app.add_middleware(RequestMiddleware, metrics=Metrics())
    add_exception_handlers(app)
    app.include_router(tokens_router(AccessTokens(SECRET, KEYS)))
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://here")


async def test_key_gets_a_token_with_or_without_a_body() -> None:
    answer = (await asked_by(Principal(ALICE)).post("/v1/tokens")).json()
    assert answer.keys() == {"token", "expires_at"}
    asked = {"expires_in": 7_200, "sessions": 1}
    answer = (await asked_by(Principal(ALICE)).post("/v1/tokens", json=asked)).json()
    caller = AccessTokens(SECRET, KEYS).caller_of(answer["token"])
    assert caller is not None
    assert (caller.name, caller.token_sessions) == ("alice", 1)


async def test_number_of_a_token_may_be_a_whole_float_and_no_text() -> None:
    answer = await asked_by(Principal(ALICE)).post("/v1/tokens", json={"expires_in": 600.0})
    assert answer.status_code == 200
    answer = await asked_by(Principal(ALICE)).post("/v1/tokens", json={"sessions": "5"})
    message = "Invalid 'sessions': it must be a whole number."
    assert (answer.status_code, answer.json()["error"]["message"]) == (400, message)


@pytest.mark.parametrize(
    "asked",
    [
        {"expires_in": 9},
        {"expires_in": 7_201},
        {"expires_in": "600"},
        {"expires_in": 60.5},
        {"sessions": 0},
        {"sessions": "5"},
        {"sessions": True},
        [],
        5,
    ],
)
async def test_invalid_request_is_answered_with_400(asked: object) -> None:
    answer = await asked_by(Principal(ALICE)).post("/v1/tokens", json=asked)
    assert answer.status_code == 400


async def test_token_cannot_issue_a_token() -> None:
    answer = await asked_by(Principal(ALICE, token="abc")).post("/v1/tokens")
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "token_not_enough")
