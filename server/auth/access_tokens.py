"""Issue and verify short-lived access tokens, which browsers and phones use in place of an API key.

A token is `tk_` and a JSON Web Token (RFC 7519, HS256), whose `kid` names the API key that it was issued for.
The signing key is derived from the server's secret and the hash of that API key. So the server stores no
tokens, every process with the same secret accepts them, and a token becomes invalid with its API key.
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
MAX_LENGTH: Final = (
    512  # characters; an issued token has at most 350. Bounds the nesting of JSON that is parsed unverified
)


@dataclass(frozen=True, slots=True)
class AccessToken:
    """Hold a token and its expiry.

    expires_at: Unix time, in seconds
    """

    value: str
    expires_at: int


class AccessTokens:
    """Issue tokens and verify them.

    secret: signs the tokens; if it is empty, a random one is made and tokens end with this process
    keys: the API keys; None if clients need no key, then a token identifies no key either
    now: returns the Unix time, in seconds
    """

    def __init__(self, secret: str, keys: ApiKeys | None, now: Callable[[], float] = time.time) -> None:
        self._secret = secret.encode() or secrets.token_bytes(32)
        self._keys = keys
        self._now = now

    def issue(self, caller: Principal, seconds: int, sessions: int | None = None) -> AccessToken:
        """Return a new token for a caller.

        seconds: lifetime of the token
        sessions: maximum number of sessions open at once with the token; None sets no limit besides the key's
        """
        expires_at = int(self._now()) + seconds
        claims: dict[str, Any] = {"jti": secrets.token_urlsafe(9), "exp": expires_at}
        if sessions is not None:
            claims["max_sessions"] = sessions
        headers = {"kid": caller.name} if caller.name else None
        signed = jwt.encode(claims, self._signing_key(caller.key), ALGORITHM, headers)
        return AccessToken(PREFIX + signed, expires_at)

    def caller_of(self, value: str) -> Principal | None:
        """Return the principal that a token identifies, or None if it is invalid or has expired."""
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
                options={
                    "require": ["exp", "jti"],
                    "verify_exp": False,
                },  # checked below, with the injected clock
            )
        except jwt.InvalidTokenError:
            return None
        return (
            Principal(key, claims["jti"], claims.get("max_sessions")) if self._now() < claims["exp"] else None
        )

    def _signing_key(self, key: ApiKey | None) -> bytes:
        return hmac.digest(self._secret, b"" if key is None else key.digest, hashlib.sha256)


class TokenRequest(BaseModel):
    """Parse the body of POST /v1/tokens.

    expires_in: seconds; sessions: maximum number of sessions open at once with the token
    """

    expires_in: int = Field(DEFAULT_SECONDS, ge=10, le=7_200)
    sessions: int | None = Field(None, ge=1, le=100_000)


class TokenAnswer(BaseModel):
    """Encode the response of POST /v1/tokens.

    expires_at: Unix time, in seconds
    """

    token: str
    expires_at: int


def tokens_router(tokens: AccessTokens) -> APIRouter:
    """Return the route that issues tokens."""
    router = APIRouter(tags=["tokens"])

    @router.post("/v1/tokens")
    async def create_token(request: Request, body: TokenRequest | None = None) -> TokenAnswer:
        """Issue a short-lived token, which a browser may put into a URL. A token cannot issue another one."""
        caller = caller_of(request.scope)
        if caller.token is not None:
            raise token_not_enough()
        body = body or TokenRequest()
        token = tokens.issue(caller, body.expires_in, body.sessions)
        return TokenAnswer(token=token.value, expires_at=token.expires_at)

    return router
