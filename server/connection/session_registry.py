"""Find the sessions that clients may resume, by the tokens that the clients were given."""

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
    """Hold each session from `add` until `seconds` after `end`; then `on_forget` is called with it.

    At most `max_ended` ended sessions are held; beyond that, the one that ended first is forgotten.
    """

    def __init__(
        self, seconds: float, max_ended: int, on_forget: Callable[[Session], None] = lambda session: None
    ) -> None:
        self.seconds = seconds
        self._max_ended = max_ended
        self._on_forget = on_forget
        self._sessions: dict[bytes, Session] = {}
        self._ended: dict[bytes, asyncio.TimerHandle] = {}  # in the order in which the sessions ended

    def __len__(self) -> int:
        return len(self._sessions)

    def add(self, key: bytes, session: Session) -> None:
        """Hold a session.

        key: digest of the token
        """
        self._sessions[key] = session

    def find(self, token: str) -> Session | None:
        return self._sessions.get(digest(token))

    def remove(self, key: bytes) -> None:
        """Drop a session that continues on another server, without forgetting it."""
        del self._sessions[key]

    def end(self, key: bytes) -> None:
        """Begin the time after which an ended session is forgotten; until then clients can resume it."""
        self._ended[key] = asyncio.get_running_loop().call_later(self.seconds, self._forget, key)
        if len(self._ended) > self._max_ended:
            self._forget(next(iter(self._ended)))

    def _forget(self, key: bytes) -> None:
        self._ended.pop(key).cancel()
        self._on_forget(self._sessions.pop(key))


def digest(token: str) -> bytes:
    """Return the digest of a token, by which its session is looked up.

    The secret itself is not looked up, so that the time of a lookup reveals nothing about it.
    """
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()
