"""Tokens: short-lived keys for browsers and phones, made with a key and never more than it.

A token says by itself whose it is and until when, under a signature (HMAC-SHA256, RFC 2104) that hangs on
the server's secret and on the key's hash: nothing is kept, each process with the same secret takes it, and it
dies with its key.
"""

import hashlib
import hmac
import re
import secrets
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from server.auth.api_keys import ApiKeys, Principal, caller_of
from server.errors import token_not_enough

PREFIX: Final = "tk_"
DEFAULT_SECONDS: Final = 600
SHAPE: Final = re.compile(
    r"(?P<told>tk_(?P<id>[A-Za-z0-9_-]{12})\.(?P<exp>[0-9]{1,12})\.(?P<sessions>[0-9]{0,6})"
    r"\.(?P<name>[A-Za-z0-9._-]{0,64}))\.(?P<signature>[A-Za-z0-9_-]{43})"
)


@dataclass(frozen=True, slots=True)
class AccessToken:
    """expires_at: Unix time, in seconds."""

    value: str
    expires_at: int


class AccessTokens:
    """secret: what signs them; without one they last as long as this process.

    keys: None where none are asked for; then a token stands for anyone
    now: Unix time, in seconds
    """

    def __init__(self, secret: str, keys: ApiKeys | None, now: Callable[[], float] = time.time) -> None:
        self._secret = secret.encode() or secrets.token_bytes(32)
        self._keys = keys
        self._now = now

    def mint(self, caller: Principal, seconds: int, sessions: int | None = None) -> AccessToken:
        """sessions: that may be open at once with it; None for as many as the key may have."""
        expires_at = int(self._now()) + seconds
        told = f"{PREFIX}{secrets.token_urlsafe(9)}.{expires_at}.{sessions or ''}.{caller.name or ''}"
        return AccessToken(f"{told}.{self._signature(told, caller)}", expires_at)

    def caller_of(self, value: str) -> Principal | None:
        """Whom it stands for; None for one that is not, or no longer, valid."""
        said = SHAPE.fullmatch(value)
        if said is None:
            return None
        key = None if self._keys is None else self._keys.named(said["name"])
        if key is None and self._keys is not None:
            return None
        caller = Principal(key, said["id"], int(said["sessions"]) if said["sessions"] else None)
        is_signed = hmac.compare_digest(said["signature"], self._signature(said["told"], caller))
        return caller if is_signed and self._now() < int(said["exp"]) else None

    def _signature(self, told: str, caller: Principal) -> str:
        """32 bytes in base64url."""
        digest = b"" if caller.key is None else caller.key.digest
        own = hmac.digest(self._secret, digest, hashlib.sha256)
        return urlsafe_b64encode(hmac.digest(own, told.encode(), hashlib.sha256)).rstrip(b"=").decode()


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
