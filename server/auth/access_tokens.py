"""Issue and verify short-lived access tokens, which browsers and phones use in place of an API key."""

import secrets
import time
from collections.abc import Callable
from typing import Any, Final

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from server.auth.api_keys import ApiKeys, Principal, caller_of
from server.auth.signed_tokens import IssuedToken, SignedTokens
from server.errors import token_not_enough
from server.validation import Whole

PREFIX: Final = "tk_"
PURPOSE: Final = b""  # of the first kind of tokens
DEFAULT_SECONDS: Final = 600


class AccessTokens:
    """Issue tokens that give the access of an API key, and verify them.

    secret: signs the tokens; if it is empty, a random one is made and tokens end with this process
    keys: the API keys; None if clients need no key, then a token identifies no key either
    now: returns the Unix time, in seconds
    """

    def __init__(self, secret: str, keys: ApiKeys | None, now: Callable[[], float] = time.time) -> None:
        self._tokens = SignedTokens(PREFIX, PURPOSE, ("jti",), secret, keys, now)

    def issue(self, caller: Principal, seconds: int, sessions: int | None = None) -> IssuedToken:
        """Return a new token for a caller.

        seconds: lifetime of the token
        sessions: maximum number of sessions open at once with the token; None sets no limit besides the key's
        """
        claims: dict[str, Any] = {"jti": secrets.token_urlsafe(9)}
        if sessions is not None:
            claims["max_sessions"] = sessions
        return self._tokens.issue(caller.key, seconds, claims)

    def caller_of(self, value: str) -> Principal | None:
        """Return the principal that a token identifies, or None if it is invalid or has expired."""
        token = self._tokens.verified(value)
        if token is None:
            return None
        return Principal(token.key, token.claims["jti"], token.claims.get("max_sessions"))


class TokenRequest(BaseModel):
    """Parse the body of POST /v1/tokens.

    expires_in: seconds; sessions: maximum number of sessions open at once with the token
    """

    model_config = ConfigDict(strict=True)  # A text in JSON is no number.

    expires_in: Whole = Field(DEFAULT_SECONDS, ge=10, le=7_200)
    sessions: Whole | None = Field(None, ge=1, le=100_000)


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
