"""Auth: what is shown, and who is let in for it."""

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
def test_a_key_may_be_shown_in_many_places(scope: dict[str, Any]) -> None:
    assert credential_of(scope) == Credential("K")


def test_what_stands_in_the_url_is_known_to_do_so() -> None:
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
def test_nothing_is_nothing(scope: dict[str, Any]) -> None:
    assert credential_of(scope) is None


@pytest.fixture
def keys() -> ApiKeys:
    return ApiKeys([ALICE, BOB])


def refused(gate: Authenticator, scope: dict[str, Any]) -> str:
    with pytest.raises(ClientError) as error:
        gate.admit(scope)
    assert (error.value.code, error.value.status, error.value.close) == ("invalid_api_key", 401, 3000)
    return error.value.message


def test_where_no_keys_are_asked_for_everybody_is_anyone() -> None:
    scope = showing(("authorization", "Bearer whatever"))
    assert Authenticator().admit(scope) is ANYONE
    assert caller_of(scope) is ANYONE


def test_who_shows_a_key_is_let_in_and_known(keys: ApiKeys) -> None:
    scope = showing(("authorization", "Bearer the-key-of-alice"))
    assert Authenticator(keys).admit(scope) == Principal(ALICE)
    assert caller_of(scope).name == "alice"


def test_who_shows_none_or_a_wrong_one_is_refused(keys: ApiKeys) -> None:
    gate = Authenticator(keys)
    assert "needed" in refused(gate, showing())
    assert "Incorrect" in refused(gate, showing(("api-key", "the-key-of-carol")))
    assert "Incorrect" in refused(gate, showing(("authorization", "Bearer the-key-of-alicE")))


def test_a_server_whose_keys_are_all_revoked_lets_nobody_in() -> None:
    assert "needed" in refused(Authenticator(ApiKeys()), showing())


def test_a_url_takes_a_token_and_no_key(keys: ApiKeys) -> None:
    tokens = AccessTokens(SECRET, keys)
    gate = Authenticator(keys, tokens)
    value = tokens.mint(Principal(ALICE), 60, sessions=2).value
    assert gate.admit(showing(query=f"token={value}")).name == "alice"
    assert gate.admit(showing(("authorization", f"Bearer {value}"))).token_sessions == 2
    assert "URLs land in logs" in refused(gate, showing(query="token=the-key-of-alice"))
    assert "the-key-of-alice" not in refused(gate, showing(query="token=the-key-of-alice"))


def test_a_token_is_nothing_without_its_key(keys: ApiKeys) -> None:
    tokens = AccessTokens(SECRET, keys)
    value = tokens.mint(Principal(ALICE), 60).value
    keys.replace([BOB])
    refused(Authenticator(keys, tokens), showing(("authorization", f"Bearer {value}")))


async def test_who_is_in_is_unwelcome_once_the_key_is_revoked(keys: ApiKeys) -> None:
    gate = Authenticator(keys)
    sent_away = []

    async def send_alice_away() -> None:
        sent_away.append("alice")

    async def send_bob_away() -> None:
        sent_away.append("bob")

    with gate.stay(Principal(ALICE, token="t"), send_alice_away), gate.stay(Principal(BOB), send_bob_away):
        assert gate.unwelcome() == []
        keys.replace([BOB])
        for send_away in gate.unwelcome():
            await send_away()
        assert sent_away == ["alice"]
        assert gate.unwelcome() == []
    assert gate.unwelcome() == []


def test_a_session_of_another_server_belongs_to_its_key_while_there_is_one() -> None:
    gate = Authenticator(ApiKeys([ALICE]))
    assert gate.owner("alice") == Principal(ALICE)
    assert gate.owner("bob") == gate.owner(None) == Authenticator().owner("alice") == ANYONE
