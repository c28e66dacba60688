"""Tokens: short-lived keys for browsers and phones, made with a key and never more than it.

A token is `tk_` and a JSON Web Token (RFC 7519, HS256), whose `kid` names the key that it was made with. The
signing key is derived from the server's secret and the hash of that API key. So the server stores no tokens,
every process with the same secret accepts them, and a token becomes invalid with its API key.
"""

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import jwt
from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from server.auth.api_keys import ApiKey, ApiKeys, Principal, caller_of
from server.errors import token_not_enough

PREFIX: Final = "tk_"
DEFAULT_SECONDS: Final = 600
ALGORITHM: Final = "HS256"
MAX_LENGTH: Final = 512  # of ours, 350 at most; bounds the nesting of the JSON that is parsed unverified


@dataclass(frozen=True, slots=True)
class AccessToken:
    """expires_at: Unix time, in seconds."""

    value: str
    expires_at: int


class AccessTokens:
    """Makes tokens and checks them.

    secret: what signs them; without one they last as long as this process.
    keys: None where none are asked for; then a token stands for anyone
    now: Unix time, in seconds
    """

    def __init__(self, secret: str, keys: ApiKeys | None, now: Callable[[], float] = time.time) -> None:
        self._secret = secret.encode() or secrets.token_bytes(32)
        self._keys = keys
        self._now = now

    def mint(self, caller: Principal, seconds: int, sessions: int | None = None) -> AccessToken:
        """Make a token for a caller.

        sessions: that may be open at once with it; None for as many as the key may have.
        """
        expires_at = int(self._now()) + seconds
        claims: dict[str, Any] = {"jti": secrets.token_urlsafe(9), "exp": expires_at}
        if sessions is not None:
            claims["max_sessions"] = sessions
        headers = {"kid": caller.name} if caller.name else None
        signed = jwt.encode(claims, self._signing_key(caller.key), ALGORITHM, headers)
        return AccessToken(PREFIX + signed, expires_at)

    def caller_of(self, value: str) -> Principal | None:
        """Return whom a token stands for, or None if it is not, or no longer, valid."""
        if not value.startswith(PREFIX) or not value.isascii() or len(value) > MAX_LENGTH:
            return None
        signed = value.removeprefix(PREFIX)
        try:
            name = jwt.get_unverified_header(signed).get("kid", "")
            key = None if self._keys is None else self._keys.named(name)
            if key is None and self._keys is not None:
                return None
            claims = jwt.decode(
                signed,
                self._signing_key(key),
                [ALGORITHM],
                options={"require": ["exp", "jti"], "verify_exp": False},  # by our clock, below
            )
        except jwt.InvalidTokenError:
            return None
        return (
            Principal(key, claims["jti"], claims.get("max_sessions")) if self._now() < claims["exp"] else None
        )

    def _signing_key(self, key: ApiKey | None) -> bytes:
        return hmac.digest(self._secret, b"" if key is None else key.digest, hashlib.sha256)


class TokenRequest(BaseModel):
    """sessions: that may be open at once with the token."""

    expires_in: int = Field(DEFAULT_SECONDS, ge=10, le=7_200)
    sessions: int | None = Field(None, ge=1, le=100_000)


class TokenAnswer(BaseModel):
    """expires_at: Unix time, in seconds."""

    token: str
    expires_at: int


def tokens_router(tokens: AccessTokens) -> APIRouter:
    router = APIRouter(tags=["tokens"])

    @router.post("/v1/tokens")
    async def create_token(request: Request, asked: TokenRequest | None = None) -> TokenAnswer:
        """A short-lived key for a browser, which may show it in a URL. A token makes none."""
        caller = caller_of(request.scope)
        if caller.token is not None:
            raise token_not_enough()
        asked = asked or TokenRequest()
        token = tokens.mint(caller, asked.expires_in, asked.sessions)
        return TokenAnswer(token=token.value, expires_at=token.expires_at)

    return router
