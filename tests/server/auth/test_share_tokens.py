"""Test that the token of a link reads one session until it expires, and gives no other access."""

import pytest

from server.auth.access_tokens import AccessTokens
from server.auth.api_keys import ANYONE, ApiKey, ApiKeys, Principal, digest_of
from server.auth.authenticator import Authenticator
from server.auth.share_tokens import SharePass, ShareTokens
from server.errors import ClientError
from tests.server.auth.test_api_keys import Clock

SECRET = "thirty-two characters, or a bit more"
ALICE = ApiKey("alice", digest_of("the key of alice"))
KEYS = ApiKeys([ALICE, ApiKey("bob", digest_of("the key of bob"))])


def test_token_reads_its_session_until_it_expires() -> None:
    clock = Clock()
    tokens = ShareTokens(SECRET, KEYS, clock)
    token = tokens.issue(Principal(ALICE), "5f1c", 60)
    assert token.expires_at == 1_060
    assert tokens.pass_of(token.value) == SharePass("5f1c", Principal(ALICE), 1_060)
    clock.now = 1_060.0
    assert tokens.pass_of(token.value) is None


def test_token_is_invalid_if_its_key_is_revoked() -> None:
    keys = ApiKeys([ALICE])
    tokens = ShareTokens(SECRET, keys)
    token = tokens.issue(Principal(ALICE), "5f1c", 60)
    keys.replace([])
    assert tokens.pass_of(token.value) is None


def test_server_without_keys_issues_tokens_too() -> None:
    tokens = ShareTokens("", None)
    read = tokens.pass_of(tokens.issue(ANYONE, "5f1c", 60).value)
    assert read is not None
    assert (read.session, read.owner) == ("5f1c", ANYONE)
    assert ShareTokens("", None).pass_of(tokens.issue(ANYONE, "5f1c", 60).value) is None


@pytest.mark.parametrize("prefix", ["share_", "tk_"])
@pytest.mark.parametrize("keys", [KEYS, None], ids=["keys", "no keys"])
def test_tokens_of_one_kind_are_not_of_the_other(prefix: str, keys: ApiKeys | None) -> None:
    """Neither as they are nor under the other prefix."""
    caller = ANYONE if keys is None else Principal(ALICE)
    access, share = AccessTokens(SECRET, keys), ShareTokens(SECRET, keys)
    link = share.issue(caller, "5f1c", 60).value.removeprefix("share_")
    token = access.issue(caller, 60).value.removeprefix("tk_")
    assert access.caller_of(prefix + link) is None
    assert share.pass_of(prefix + token) is None


def test_token_of_a_link_is_no_credential() -> None:
    token = ShareTokens(SECRET, KEYS).issue(Principal(ALICE), "5f1c", 60).value
    auth = Authenticator(KEYS, AccessTokens(SECRET, KEYS))
    for scope in (
        {"headers": [(b"authorization", f"Bearer {token}".encode())], "query_string": b""},
        {"headers": [], "query_string": f"token={token}".encode()},
    ):
        with pytest.raises(ClientError) as refused:
            auth.admit(scope)
        assert refused.value.code == "invalid_api_key"


def test_changed_token_is_invalid() -> None:
    tokens = ShareTokens(SECRET, KEYS)
    value = tokens.issue(Principal(ALICE), "5f1c", 60).value
    head, claims, signature = value.split(".")
    _, others, _ = tokens.issue(Principal(ALICE), "another", 60).value.split(".")
    assert tokens.pass_of(f"{head}.{others}.{signature}") is None
    assert tokens.pass_of(f"{head}.{claims}.") is None
