"""Test which credentials a request may have, and which are accepted."""

from typing import Any

import pytest

from server.auth.access_tokens import AccessTokens
from server.auth.api_keys import ANYONE, ApiKey, ApiKeys, Principal, caller_of, digest_of
from server.auth.authenticator import Authenticator, Credential, credential_of
from server.errors import ClientError

ALICE = ApiKey("alice", digest_of("the-key-of-alice"))
BOB = ApiKey("bob", digest_of("the-key-of-bob"))
SECRET = "thirty-two characters, or a bit more"


def showing(*headers: tuple[str, str], subprotocols: tuple[str, ...] = (), query: str = "") -> dict[str, Any]:
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    return {"headers": raw, "subprotocols": list(subprotocols), "query_string": query.encode()}


@pytest.mark.parametrize(
    "scope",
    [
        showing(("authorization", "Bearer K")),
        showing(("authorization", "bearer  K ")),
        showing(("authorization", "Token K")),
        showing(("api-key", "K")),
        showing(("x-api-key", " K")),
        showing(("authorization", "Basic dTpw"), ("api-key", "K")),
        showing(subprotocols=("realtime", "openai-insecure-api-key.K", "openai-beta.realtime-v1")),
        showing(subprotocols=("token", "K")),
        showing(subprotocols=("bearer", "K")),
        showing(subprotocols=("stt", "stt-key.K")),
        showing(("authorization", "Bearer K"), subprotocols=("token", "L"), query="token=M"),
        showing(("api-key", "L"), ("authorization", "Bearer K")),
    ],
)
def test_key_is_found_in_headers_and_subprotocols(scope: dict[str, Any]) -> None:
    assert credential_of(scope) == Credential("K")


def test_credential_in_the_url_is_marked() -> None:
    assert credential_of(showing(query="model=x&token=K%2B")) == Credential("K+", in_url=True)


@pytest.mark.parametrize(
    "scope",
    [
        showing(),
        showing(("authorization", "Bearer")),
        showing(("authorization", "Bearer ")),
        showing(("authorization", "Basic dTpw")),
        showing(("authorization", "K")),
        showing(("api-key", "")),
        showing(subprotocols=("token",)),
        showing(subprotocols=("stt",)),
        showing(query="key=K&api-key=K&token="),
    ],
)
def test_request_without_a_credential_has_none(scope: dict[str, Any]) -> None:
    assert credential_of(scope) is None


@pytest.fixture
def keys() -> ApiKeys:
    return ApiKeys([ALICE, BOB])


def refused(auth: Authenticator, scope: dict[str, Any]) -> str:
    with pytest.raises(ClientError) as error:
        auth.admit(scope)
    assert (error.value.code, error.value.status, error.value.close) == ("invalid_api_key", 401, 3000)
    return error.value.message


def test_without_keys_every_client_is_anyone() -> None:
    scope = showing(("authorization", "Bearer whatever"))
    assert Authenticator().admit(scope) is ANYONE
    assert caller_of(scope) is ANYONE


def test_valid_key_is_admitted(keys: ApiKeys) -> None:
    scope = showing(("authorization", "Bearer the-key-of-alice"))
    assert Authenticator(keys).admit(scope) == Principal(ALICE)
    assert caller_of(scope).name == "alice"


def test_missing_or_wrong_key_is_refused(keys: ApiKeys) -> None:
    auth = Authenticator(keys)
    assert "needed" in refused(auth, showing())
    assert "Incorrect" in refused(auth, showing(("api-key", "the-key-of-carol")))
    assert "Incorrect" in refused(auth, showing(("authorization", "Bearer the-key-of-alicE")))


def test_empty_list_of_keys_admits_no_client() -> None:
    assert "needed" in refused(Authenticator(ApiKeys()), showing())


def test_url_takes_a_token_but_no_key(keys: ApiKeys) -> None:
    tokens = AccessTokens(SECRET, keys)
    auth = Authenticator(keys, tokens)
    value = tokens.issue(Principal(ALICE), 60, sessions=2).value
    assert auth.admit(showing(query=f"token={value}")).name == "alice"
    assert auth.admit(showing(("authorization", f"Bearer {value}"))).token_sessions == 2
    assert "URLs land in logs" in refused(auth, showing(query="token=the-key-of-alice"))
    assert "the-key-of-alice" not in refused(auth, showing(query="token=the-key-of-alice"))


def test_token_of_a_revoked_key_is_refused(keys: ApiKeys) -> None:
    tokens = AccessTokens(SECRET, keys)
    value = tokens.issue(Principal(ALICE), 60).value
    keys.replace([BOB])
    refused(Authenticator(keys, tokens), showing(("authorization", f"Bearer {value}")))


async def test_connections_of_a_revoked_key_are_returned_once(keys: ApiKeys) -> None:
    auth = Authenticator(keys)
    closed = []

    async def close_alice() -> None:
        closed.append("alice")

    async def close_bob() -> None:
        closed.append("bob")

    with auth.track(Principal(ALICE, token="t"), close_alice), auth.track(Principal(BOB), close_bob):
        assert auth.revoked() == []
        keys.replace([BOB])
        for close in auth.revoked():
            await close()
        assert closed == ["alice"]
        assert auth.revoked() == []
    assert auth.revoked() == []


def test_owner_of_a_session_is_its_key_while_it_exists() -> None:
    auth = Authenticator(ApiKeys([ALICE]))
    assert auth.owner("alice") == Principal(ALICE)
    assert auth.owner("bob") == auth.owner(None) == Authenticator().owner("alice") == ANYONE
