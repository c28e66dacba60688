"""Sessions: those that a client may come back to, by the token that it was given."""

import asyncio
import hashlib
import secrets
from collections.abc import Callable
from typing import Final, Generic, TypeVar

Session = TypeVar("Session")

TOKEN_BYTES: Final = 24


def new_token() -> str:
    return secrets.token_urlsafe(TOKEN_BYTES)


class SessionRegistry(Generic[Session]):
    """Holds a session from `add` until `seconds` after `end`; then it is `forgotten`.

    Of those that have ended it holds at most `most`: beyond it the one that ended first is let go.
    """

    def __init__(
        self, seconds: float, most: int, forgotten: Callable[[Session], None] = lambda session: None
    ) -> None:
        self.seconds = seconds
        self._most = most
        self._forgotten = forgotten
        self._sessions: dict[bytes, Session] = {}
        self._ended: dict[bytes, asyncio.TimerHandle] = {}  # in the order in which they did

    def __len__(self) -> int:
        return len(self._sessions)

    def add(self, key: bytes, session: Session) -> None:
        """key: digest of the token"""
        self._sessions[key] = session

    def find(self, token: str) -> Session | None:
        return self._sessions.get(digest(token))

    def leave(self, key: bytes) -> None:
        """It goes on elsewhere."""
        del self._sessions[key]

    def end(self, key: bytes) -> None:
        """It is over; what it told can still be asked for, for a while."""
        self._ended[key] = asyncio.get_running_loop().call_later(self.seconds, self._forget, key)
        if len(self._ended) > self._most:
            self._forget(next(iter(self._ended)))

    def _forget(self, key: bytes) -> None:
        self._ended.pop(key).cancel()
        self._forgotten(self._sessions.pop(key))


def digest(token: str) -> bytes:
    """What is looked up is not the secret itself, so that the time it takes tells nothing of it."""
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()
