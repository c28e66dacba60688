"""Sign and verify tokens that the server does not store.

A token is a prefix, which names its kind, and a JSON Web Token (RFC 7519, HS256), whose `kid` names the API
key that it was issued for. The signing key is derived from the server's secret, the purpose of the kind and
the hash of that API key. So every process with the same secret accepts a token, a token becomes invalid with
its API key, and a token of one kind is never one of another.
"""

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import jwt

from server.auth.api_keys import ApiKey, ApiKeys

ALGORITHM: Final = "HS256"
MAX_LENGTH: Final = (
    512  # characters; an issued token has at most 350. Bounds the nesting of JSON that is parsed unverified
)


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """Hold a token and its expiry.

    expires_at: Unix time, in seconds
    """

    value: str
    expires_at: int


@dataclass(frozen=True, slots=True)
class VerifiedToken:
    """Hold what a valid token says.

    key: the API key that it was issued for; None on a server without keys
    """

    key: ApiKey | None
    claims: Mapping[str, Any]


class SignedTokens:
    """Issue tokens of one kind and verify them.

    prefix: begins each token of the kind; purpose: keeps the kinds apart, is part of the signing key
    required: the claims that each token of the kind has, besides its expiry
    secret: signs the tokens; if it is empty, a random one is made and tokens end with this process
    keys: the API keys; None if clients need no key, then a token identifies no key either
    now: returns the Unix time, in seconds
    """

    def __init__(
        self,
        prefix: str,
        purpose: bytes,
        required: tuple[str, ...],
        secret: str,
        keys: ApiKeys | None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._prefix = prefix
        self._purpose = purpose
        self._required = ["exp", *required]
        self._secret = secret.encode() or secrets.token_bytes(32)
        self._keys = keys
        self._now = now

    def issue(self, key: ApiKey | None, seconds: int, claims: Mapping[str, Any]) -> IssuedToken:
        """Return a new token for an API key; seconds: its lifetime."""
        expires_at = int(self._now()) + seconds
        headers = {"kid": key.name} if key is not None else None
        signed = jwt.encode({**claims, "exp": expires_at}, self._signing_key(key), ALGORITHM, headers)
        return IssuedToken(self._prefix + signed, expires_at)

    def verified(self, value: str) -> VerifiedToken | None:
        """Return what a token says, or None if it is invalid, of another kind or has expired."""
        if not value.startswith(self._prefix) or not value.isascii() or len(value) > MAX_LENGTH:
            return None
        signed = value.removeprefix(self._prefix)
        try:
            name = jwt.get_unverified_header(signed).get("kid", "")
            key = None if self._keys is None else self._keys.named(name)
            if key is None and self._keys is not None:
                return None
            claims = jwt.decode(
                signed,
                self._signing_key(key),
                [ALGORITHM],
                options={
                    "require": self._required,
                    "verify_exp": False,
                },  # checked below, with the injected clock
            )
        except jwt.InvalidTokenError:
            return None
        return VerifiedToken(key, claims) if self._now() < claims["exp"] else None

    def _signing_key(self, key: ApiKey | None) -> bytes:
        message = self._purpose + (b"" if key is None else key.digest)
        return hmac.digest(self._secret, message, hashlib.sha256)
