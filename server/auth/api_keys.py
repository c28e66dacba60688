"""Look up API keys by the hashes of their secrets.

A generated key is 32 random bytes as text (`new_secret`). One SHA-256 is sufficient for it: slow hashes
protect against dictionary attacks, and no dictionary covers 2^256 keys. NIST SP 800-63B, 5.1.2.2, accepts
it for look-up secrets of 112 bits or more.
"""

import hashlib
import re
import secrets
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

SECRET_BYTES: Final = 32
MIN_SECRET_LENGTH: Final = 16  # characters; for keys that an operator chose
NAME: Final = "[A-Za-z0-9._-]{1,64}"  # appears in logs and in metrics
SECRET_PREFIX: Final = "stt_"  # lets secret scanners recognise a leaked key


@dataclass(frozen=True, slots=True)
class ApiKey:
    """Describe one API key and its quotas.

    name: used in logs, metrics and for the ownership of sessions; digest: SHA-256 of the secret, 32 bytes
    expires_at: Unix time, in seconds; None means that it never expires
    max_sessions: maximum number of sessions open at once; None sets no limit
    audio_seconds_per_hour: maximum seconds of audio that may be sent within an hour; None sets no limit
    """

    name: str
    digest: bytes
    expires_at: float | None = None
    max_sessions: int | None = None
    audio_seconds_per_hour: float | None = None


@dataclass(frozen=True, slots=True)
class Principal:
    """Identify the client of a request.

    key: None if the server requires no keys; then all clients are the same principal
    token: the id of the short-lived token that was presented; None if the key itself was presented
    token_sessions: maximum number of sessions open at once with this token; None sets no limit
    """

    key: ApiKey | None = None
    token: str | None = None
    token_sessions: int | None = None

    @property
    def name(self) -> str | None:
        """Return the name of the key, which owns the sessions of this principal; None without a key."""
        return None if self.key is None else self.key.name


ANYONE: Final = Principal()
CALLER: Final = "stt.caller"  # key of the principal in an ASGI scope


def caller_of(scope: Mapping[str, Any]) -> Principal:
    """Return the principal of an authenticated request or handshake."""
    caller: Principal = scope.get(CALLER, ANYONE)
    return caller


class ApiKeys:
    """Hold the API keys, and find valid ones by secret or name.

    now: returns the Unix time, in seconds
    """

    def __init__(self, keys: Iterable[ApiKey] = (), now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._by_digest: dict[bytes, ApiKey] = {}
        self._by_name: dict[str, ApiKey] = {}
        self.replace(keys)

    def __len__(self) -> int:
        """Return the number of keys, including expired ones."""
        return len(self._by_name)

    def replace(self, keys: Iterable[ApiKey]) -> None:
        """Replace all keys at once."""
        self._by_name = {key.name: key for key in keys}
        self._by_digest = {key.digest: key for key in self._by_name.values()}

    def find(self, secret: str) -> ApiKey | None:
        """Return the key with this secret, or None if it is unknown or has expired.

        The lookup is by digest. Its duration reveals information about the digest only, and an attacker
        cannot choose secrets by their digests.
        """
        return self._valid(self._by_digest.get(digest_of(secret)))

    def named(self, name: str) -> ApiKey | None:
        """Return the key with this name, or None if it is unknown or has expired."""
        return self._valid(self._by_name.get(name))

    def is_valid(self, key: ApiKey) -> bool:
        """Return whether a key has not been revoked, replaced under the same name, or expired."""
        found = self.named(key.name)
        return found is not None and found.digest == key.digest

    def _valid(self, key: ApiKey | None) -> ApiKey | None:
        if key is None or (key.expires_at is not None and key.expires_at <= self._now()):
            return None
        return key


def keys_of_text(text: str) -> list[ApiKey]:
    """Parse the setting API_KEYS: `name:key` or just the key, separated by commas.

    A key without a name is named by its position, `key_1`.

    Raises ValueError, whose text contains no key.
    """
    keys = []
    for position, part in enumerate(filter(None, map(str.strip, text.split(","))), start=1):
        name, colon, secret = part.rpartition(":")
        if colon and not re.fullmatch(NAME, name):
            raise ValueError(f"the name of key {position} may have 64 letters, digits, dots, dashes")
        if len(secret) < MIN_SECRET_LENGTH:
            raise ValueError(f"key {position} has less than {MIN_SECRET_LENGTH} characters")
        keys.append(ApiKey(name or f"key_{position}", digest_of(secret)))
    check_different(keys)
    return keys


def check_different(keys: Sequence[ApiKey]) -> None:
    """Raise ValueError, which names them, if two keys have the same name or the same secret."""
    names: set[str] = set()
    owners: dict[bytes, str] = {}
    for key in keys:
        if key.name in names:
            raise ValueError(f"two keys have the name {key.name}")
        names.add(key.name)
        if owners.setdefault(key.digest, key.name) != key.name:
            raise ValueError(f"{owners[key.digest]} and {key.name} have the same key")


def new_secret() -> str:
    """Return a new random secret for a key."""
    return SECRET_PREFIX + secrets.token_urlsafe(SECRET_BYTES)


def digest_of(secret: str) -> bytes:
    """Return the SHA-256 of a secret, 32 bytes."""
    return hashlib.sha256(secret.encode("utf-8", "replace")).digest()
