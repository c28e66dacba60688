"""Test the keys of the settings and of a file that changes."""

import json
from pathlib import Path
from typing import Any

import pytest

from server.auth.api_keys import ApiKey, Principal, caller_of, digest_of
from server.auth.key_file import KeyFileError
from server.auth.service import AuthService
from server.errors import ClientError
from server.observability.metrics import Metrics

SECRET = "0123456789abcdef"


def entry(name: str, secret: str) -> dict[str, str]:
    return {"name": name, "sha256": digest_of(secret).hex()}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "keys.json"
    write(file, entry("bob", "the-key-of-bob"))
    return file


def write(path: Path, *entries: object) -> None:
    path.write_text(json.dumps({"keys": entries}))


def break_off(path: Path) -> None:
    path.write_text("{")


def shown(secret: str) -> dict[str, Any]:
    return {"headers": [(b"x-api-key", secret.encode())], "query_string": b""}


def caller(service: AuthService, secret: str) -> str | None:
    try:
        return service.authenticator.admit(shown(secret)).name
    except ClientError:
        return None


def test_without_keys_in_the_settings_no_key_is_needed() -> None:
    scope: dict[str, Any] = {"headers": [], "query_string": b""}
    AuthService("", "", "", Metrics()).authenticator.admit(scope)
    assert caller_of(scope).name is None


async def test_keys_of_the_file_are_reloaded_beside_the_settings(path: Path) -> None:
    metrics = Metrics()
    service = AuthService(f"alice:{SECRET}", str(path), "", metrics)
    assert (caller(service, SECRET), caller(service, "the-key-of-bob")) == ("alice", "bob")
    write(path, entry("carol", "the-key-of-carol"), entry("dave", "the-key-of-dave"))
    await service.check()
    assert (caller(service, SECRET), caller(service, "the-key-of-carol")) == ("alice", "carol")
    assert caller(service, "the-key-of-bob") is None
    assert b"stt_keys 3.0" in metrics.text()


async def test_broken_file_changes_nothing_and_is_counted_once(path: Path) -> None:
    metrics = Metrics()
    service = AuthService("", str(path), "", metrics)
    break_off(path)
    await service.check()
    await service.check()
    assert caller(service, "the-key-of-bob") == "bob"
    assert b"stt_key_file_errors_total 1.0" in metrics.text()
    write(path)
    await service.check()
    assert caller(service, "the-key-of-bob") is None


async def test_connection_of_a_removed_key_is_closed(path: Path) -> None:
    service = AuthService("", str(path), "", Metrics())
    closed: list[Principal] = []
    bob = service.authenticator.admit(shown("the-key-of-bob"))

    async def close() -> None:
        closed.append(bob)

    with service.authenticator.track(bob, close):
        await service.check()
        assert closed == []
        write(path)
        await service.check()
        assert closed == [bob]


@pytest.mark.parametrize("text", ["{", None])
def test_unreadable_file_at_the_start_is_an_error(path: Path, text: str | None) -> None:
    path.unlink() if text is None else path.write_text(text)
    with pytest.raises(KeyFileError):
        AuthService("", str(path), "", Metrics())


def test_same_key_under_two_names_is_an_error(path: Path) -> None:
    write(path, entry("bob", SECRET))
    with pytest.raises(KeyFileError, match="have the same key"):
        AuthService(f"alice:{SECRET}", str(path), "", Metrics())


class OneSecret:
    """Verify one fixed secret."""

    def __init__(self, value: str, caller: Principal) -> None:
        self._value = value
        self._caller = caller

    def caller_of(self, value: str) -> Principal | None:
        return self._caller if value == self._value else None


def test_secret_of_another_verifier_needs_a_valid_key() -> None:
    valid = OneSecret("ek_alice", Principal(ApiKey("alice", digest_of(SECRET)), token="1"))
    gone = OneSecret("ek_bob", Principal(ApiKey("bob", digest_of("the-key-of-bob")), token="2"))
    service = AuthService(f"alice:{SECRET}", "", "", Metrics(), valid, gone)
    assert caller(service, "ek_alice") == "alice"
    assert caller(service, "ek_bob") is None
