"""Test that keys are found by secret and name until they expire or are replaced."""

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
    """Return a time that only changes when the test sets it."""

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


def test_key_is_found_by_secret_and_by_name(keys: ApiKeys) -> None:
    assert keys.find("the key of alice") is ALICE
    assert keys.named("alice") is ALICE
    assert keys.find("alice") is None
    assert keys.find("") is None
    assert keys.find("\udcff") is None
    assert len(keys) == 2


def test_expired_key_is_not_found(keys: ApiKeys, clock: Clock) -> None:
    clock.now = 1_999.9
    assert keys.find("the key of bob") is BOB
    assert keys.is_valid(BOB)
    clock.now = 2_000.0
    assert keys.find("the key of bob") is None
    assert keys.named("bob") is None
    assert not keys.is_valid(BOB)


def test_replaced_keys_are_not_found(keys: ApiKeys) -> None:
    anew = ApiKey("alice", digest_of("another key of alice"))
    keys.replace([anew])
    assert keys.find("the key of alice") is None
    assert not keys.is_valid(ALICE)
    assert keys.is_valid(anew)
    assert keys.named("bob") is None


def test_secrets_are_unique_and_long() -> None:
    secrets = {new_secret() for _ in range(100)}
    assert len(secrets) == 100
    assert {len(secret) for secret in secrets} == {len("stt_") + 43}  # 256 bits in base64


def test_setting_names_keys_or_numbers_them() -> None:
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
        ("a:0123456789abcdef,a:fedcba9876543210", "two keys have the name a"),
        ("a:0123456789abcdef,b:0123456789abcdef", "a and b have the same key"),
    ],
)
def test_error_of_a_bad_setting_contains_no_key(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem) as refused:
        keys_of_text(text)
    assert "0123456789abcdef" not in str(refused.value)
    assert "tooshort" not in str(refused.value)


def test_caller_is_read_from_the_scope() -> None:
    assert caller_of({}) is ANYONE
    assert ANYONE.name is None
    caller = Principal(ALICE)
    assert caller_of({"stt.caller": caller}) is caller
    assert caller.name == "alice"
