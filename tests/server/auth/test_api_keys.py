"""Keys: found by their hashes, gone when they expire or are replaced."""

import pytest

from server.auth.api_keys import (
    ANYONE,
    ApiKey,
    ApiKeys,
    Principal,
    caller_of,
    digest_of,
    keys_of_text,
    new_secret,
)


class Clock:
    """Stands still until it is set."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


ALICE = ApiKey("alice", digest_of("the key of alice"))
BOB = ApiKey("bob", digest_of("the key of bob"), expires_at=2_000.0)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def keys(clock: Clock) -> ApiKeys:
    return ApiKeys([ALICE, BOB], clock)


def test_a_key_is_found_by_what_it_is_and_by_its_name(keys: ApiKeys) -> None:
    assert keys.find("the key of alice") is ALICE
    assert keys.named("alice") is ALICE
    assert keys.find("alice") is None
    assert keys.find("") is None
    assert keys.find("\udcff") is None
    assert len(keys) == 2


def test_a_key_that_has_expired_is_none(keys: ApiKeys, clock: Clock) -> None:
    clock.now = 1_999.9
    assert keys.find("the key of bob") is BOB
    assert keys.knows(BOB)
    clock.now = 2_000.0
    assert keys.find("the key of bob") is None
    assert keys.named("bob") is None
    assert not keys.knows(BOB)


def test_what_is_replaced_is_gone_also_where_another_has_its_name(keys: ApiKeys) -> None:
    anew = ApiKey("alice", digest_of("another key of alice"))
    keys.replace([anew])
    assert keys.find("the key of alice") is None
    assert not keys.knows(ALICE)
    assert keys.knows(anew)
    assert keys.named("bob") is None


def test_a_secret_is_new_each_time_and_cannot_be_guessed() -> None:
    secrets = {new_secret() for _ in range(100)}
    assert len(secrets) == 100
    assert {len(secret) for secret in secrets} == {len("stt_") + 43}  # 256 bits in base64


def test_a_setting_names_keys_or_leaves_them_to_be_counted() -> None:
    keys = keys_of_text(" alice:0123456789abcdef, fedcba9876543210 ,")
    assert [(key.name, key.digest) for key in keys] == [
        ("alice", digest_of("0123456789abcdef")),
        ("key_2", digest_of("fedcba9876543210")),
    ]
    assert keys_of_text("") == []


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("alice:tooshort", "key 1 has less than 16 characters"),
        ("0123456789abcdef,tooshort", "key 2 has less than 16 characters"),
        ("al ice:0123456789abcdef", "the name of key 1"),
        ("a:0123456789abcdef,a:fedcba9876543210", "two names are the same"),
        ("a:0123456789abcdef,b:0123456789abcdef", "two keys are the same"),
    ],
)
def test_a_bad_setting_is_refused_in_words_that_hold_no_key(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem) as refused:
        keys_of_text(text)
    assert "0123456789abcdef" not in str(refused.value)
    assert "tooshort" not in str(refused.value)


def test_who_asks_stands_in_the_scope_and_is_anyone_where_nobody_asked() -> None:
    assert caller_of({}) is ANYONE
    assert ANYONE.name is None
    caller = Principal(ALICE)
    assert caller_of({"stt.caller": caller}) is caller
    assert caller.name == "alice"
