"""Remember the links of a shared session, so that each can be withdrawn alone. Pure."""

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

MAX_LINKS: Final = 100  # of a session that have not expired, withdrawn ones included
ID_CHARS: Final = 24


class TooManyLinks(Exception):
    """A session has MAX_LINKS links that have not expired."""


@dataclass(slots=True)
class ShareLink:
    """Hold a link; expires_at: Unix time, in seconds."""

    id: str
    expires_at: int
    is_withdrawn: bool = False


class ShareLinks:
    """Hold the links of one session until they expire."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._links: dict[str, ShareLink] = {}
        self._now = now

    @property
    def valid(self) -> list[ShareLink]:
        """Return the links that give access."""
        self._forget_expired()
        return [link for link in self._links.values() if not link.is_withdrawn]

    def check_capacity(self) -> None:
        """Raise TooManyLinks if no further link can be remembered."""
        self._forget_expired()
        if len(self._links) >= MAX_LINKS:
            raise TooManyLinks

    def add(self, link: ShareLink) -> None:
        """Remember a link."""
        self._links[link.id] = link

    def withdraw(self, link_id: str, longest_seconds: int) -> None:
        """Withdraw a link, also one that was made before the server was restarted.

        longest_seconds: for which a link is valid at most. Raises TooManyLinks.
        """
        if link_id not in self._links:
            self.check_capacity()
            self.add(ShareLink(link_id, int(self._now()) + longest_seconds))
        self._links[link_id].is_withdrawn = True

    def is_withdrawn(self, link_id: str) -> bool:
        """Return whether a link was withdrawn."""
        link = self._links.get(link_id)
        return link is not None and link.is_withdrawn

    def _forget_expired(self) -> None:
        now = self._now()
        self._links = {each.id: each for each in self._links.values() if each.expires_at > now}


def link_id_of(token: str) -> str:
    """Return the id of the link with a token: a part of its digest, which does not reveal the token."""
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()[:ID_CHARS]
