"""Keys: who may come in, each known by the hash of its key.

A key is 32 random bytes in text (`new_secret`), for which one plain SHA-256 is the right hash: slow ones are
against guessing from a dictionary, and no dictionary holds 2^256 keys. (NIST SP 800-63B, 5.1.2.2, says so of
look-up secrets from 112 bits on.)
"""

import hashlib
import re
import secrets
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

SECRET_BYTES: Final = 32
SHORTEST: Final = 16  # characters of a key that somebody chose
NAME: Final = "[A-Za-z0-9._-]{1,64}"  # it stands in logs and in metrics
SECRET_PREFIX: Final = "stt_"  # by which scanners of leaked secrets know it


@dataclass(frozen=True, slots=True)
class ApiKey:
    """One that may come in, and how much it may have.

    name: what logs, metrics and ownership call it; digest: SHA-256 of the secret, 32 bytes
    expires_at: Unix time, in seconds; None for never
    max_sessions: at once; audio_seconds_per_hour: of sound; None is no bound of its own
    """

    name: str
    digest: bytes
    expires_at: float | None = None
    max_sessions: int | None = None
    audio_seconds_per_hour: float | None = None


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks. key: None where there are no keys, so that everybody is the same caller.

    token: the id of the short-lived token that was shown in the key's place, None for the key itself
    token_sessions: that may be open with this token at once; None is no bound of its own
    """

    key: ApiKey | None = None
    token: str | None = None
    token_sessions: int | None = None

    @property
    def name(self) -> str | None:
        """What belongs to it bears this name."""
        return None if self.key is None else self.key.name


ANYONE: Final = Principal()
CALLER: Final = "stt.caller"  # where an ASGI scope holds who asks


def caller_of(scope: Mapping[str, Any]) -> Principal:
    """Of a request or a handshake that was let in."""
    caller: Principal = scope.get(CALLER, ANYONE)
    return caller


class ApiKeys:
    """Those that are valid; `replace` changes all at once. now: Unix time, in seconds."""

    def __init__(self, keys: Iterable[ApiKey] = (), now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._by_digest: dict[bytes, ApiKey] = {}
        self._by_name: dict[str, ApiKey] = {}
        self.replace(keys)

    def __len__(self) -> int:
        """Expired ones included."""
        return len(self._by_name)

    def replace(self, keys: Iterable[ApiKey]) -> None:
        self._by_name = {key.name: key for key in keys}
        self._by_digest = {key.digest: key for key in self._by_name.values()}

    def find(self, secret: str) -> ApiKey | None:
        """The key whose secret this is, unless it has expired.

        What is looked up is the digest: the time that takes tells of the digest alone, and nobody can choose
        secrets by their digests.
        """
        return self._valid(self._by_digest.get(digest_of(secret)))

    def named(self, name: str) -> ApiKey | None:
        """The key of that name, unless it has expired."""
        return self._valid(self._by_name.get(name))

    def knows(self, key: ApiKey) -> bool:
        """Whether it is still valid: it was neither revoked nor made anew, and has not expired."""
        found = self.named(key.name)
        return found is not None and found.digest == key.digest

    def _valid(self, key: ApiKey | None) -> ApiKey | None:
        if key is None or (key.expires_at is not None and key.expires_at <= self._now()):
            return None
        return key


def keys_of_text(text: str) -> list[ApiKey]:
    """Of a setting: `name:key` or bare keys, with commas; a bare one is called by its place, `key_1`.

    Raises ValueError, which names no key.
    """
    keys = []
    for place, part in enumerate(filter(None, map(str.strip, text.split(","))), start=1):
        name, colon, secret = part.rpartition(":")
        if colon and not re.fullmatch(NAME, name):
            raise ValueError(f"the name of key {place} may have 64 letters, digits, dots, dashes")
        if len(secret) < SHORTEST:
            raise ValueError(f"key {place} has less than {SHORTEST} characters")
        keys.append(ApiKey(name or f"key_{place}", digest_of(secret)))
    check_different(keys)
    return keys


def check_different(keys: Sequence[ApiKey]) -> None:
    """Raises ValueError where two are called the same, or are the same."""
    for what, several in (("names", {key.name for key in keys}), ("keys", {key.digest for key in keys})):
        if len(several) < len(keys):
            raise ValueError(f"two {what} are the same")


def new_secret() -> str:
    return SECRET_PREFIX + secrets.token_urlsafe(SECRET_BYTES)


def digest_of(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "replace")).digest()
