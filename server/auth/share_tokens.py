"""Issue and verify the tokens of links with which others follow a live session. They give no other access."""

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from server.auth.api_keys import ApiKeys, Principal
from server.auth.signed_tokens import IssuedToken, SignedTokens

PREFIX: Final = "share_"
PURPOSE: Final = b"share"
NONCE_BYTES: Final = 9


@dataclass(frozen=True, slots=True)
class SharePass:
    """Hold what the token of a link allows: to read one session.

    session: id of the session; owner: the principal whose session it is
    expires_at: Unix time, in seconds
    """

    session: str
    owner: Principal
    expires_at: int


class ShareTokens:
    """Issue tokens of links and verify them; the parameters are those of AccessTokens."""

    def __init__(self, secret: str, keys: ApiKeys | None, now: Callable[[], float] = time.time) -> None:
        self._tokens = SignedTokens(PREFIX, PURPOSE, ("session",), secret, keys, now)

    def issue(self, owner: Principal, session: str, seconds: int) -> IssuedToken:
        """Return a new token that reads a session for a number of seconds; no two tokens are equal."""
        claims = {"session": session, "nonce": secrets.token_urlsafe(NONCE_BYTES)}
        return self._tokens.issue(owner.key, seconds, claims)

    def pass_of(self, value: str) -> SharePass | None:
        """Return what a token allows, or None if it is invalid or has expired."""
        token = self._tokens.verified(value)
        if token is None:
            return None
        return SharePass(token.claims["session"], Principal(token.key), token.claims["exp"])
