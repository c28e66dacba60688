"""Auth: who asks, by what a request or a handshake shows. Decisions only: the doors carry them out."""

from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, Protocol
from urllib.parse import parse_qs

from server.auth.api_keys import ANYONE, CALLER, ApiKeys, Principal
from server.errors import ClientError, invalid_api_key

SCHEMES: Final = ("bearer", "token")  # token: Deepgram's
KEY_HEADERS: Final = (b"api-key", b"x-api-key")  # Azure's, and many others'
# Browsers have no headers for a WebSocket, but names of protocols. OpenAI's and ours hold the key; Deepgram's
# stands before it.
KEY_SUBPROTOCOLS: Final = ("openai-insecure-api-key.", "stt-key.")

Scope = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Credential:
    """in_url: it stood in the query, which lands in logs and histories: good for a token, not for a key."""

    secret: str
    in_url: bool = False


def credential_of(scope: Scope) -> Credential | None:
    """What an ASGI scope shows; a header counts before a subprotocol, and that before the URL."""
    for secret in (*_in_headers(scope["headers"]), *_in_subprotocols(scope.get("subprotocols", ()))):
        return Credential(secret)
    query = parse_qs(scope["query_string"].decode("latin-1"))
    return Credential(query["token"][0], in_url=True) if "token" in query else None


def _in_headers(headers: Sequence[tuple[bytes, bytes]]) -> Iterator[str]:
    for name, value in headers:
        if name == b"authorization":
            scheme, _, secret = value.decode("latin-1").partition(" ")
            if scheme.lower() in SCHEMES and secret.strip():
                yield secret.strip()
    for name, value in headers:
        if name in KEY_HEADERS and value.strip():
            yield value.decode("latin-1").strip()


def _in_subprotocols(offered: Sequence[str]) -> Iterator[str]:
    for name, following in pairwise(offered):
        if name.lower() in SCHEMES:
            yield following
    for name in offered:
        for prefix in KEY_SUBPROTOCOLS:
            if name.startswith(prefix):
                yield name.removeprefix(prefix)


class TokenVerifier(Protocol):
    """What makes short-lived secrets."""

    def caller_of(self, value: str) -> Principal | None:
        """Whom one stands for; None for one that is not, or no longer, valid."""
        ...


CloseCallback = Callable[[], Awaitable[None]]


class Authenticator:
    """Lets in who shows a key, or a secret of one of the mints, and knows who is in.

    keys: None where none are asked for
    """

    def __init__(self, keys: ApiKeys | None = None, *mints: TokenVerifier) -> None:
        self._keys = keys
        self._mints = mints
        self._inside: dict[CloseCallback, Principal] = {}

    def admit(self, scope: MutableMapping[str, Any]) -> Principal:
        """Who asks, written into the scope for `caller_of`. Raises ClientError."""
        caller = self._caller(credential_of(scope)) if self._keys is not None else ANYONE
        scope[CALLER] = caller
        return caller

    def owner(self, name: str | None) -> Principal:
        """Whom a session belongs to that was begun under this name: nobody, if the key is gone."""
        key = self._keys.named(name) if self._keys is not None and name is not None else None
        return Principal(key)

    def still_admits(self, caller: Principal) -> bool:
        """Whether its key is still valid. A token is looked at when it comes in, and then no more."""
        return self._keys is None or (caller.key is not None and self._keys.knows(caller.key))

    @contextmanager
    def stay(self, caller: Principal, send_away: CloseCallback) -> Iterator[None]:
        """Somebody is in, for as long as it lasts."""
        self._inside[send_away] = caller
        try:
            yield
        finally:
            self._inside.pop(send_away, None)

    def unwelcome(self) -> list[CloseCallback]:
        """How to send away those who are in and whose key is valid no more. Each is told of once."""
        gone = [away for away, caller in self._inside.items() if not self.still_admits(caller)]
        for send_away in gone:
            del self._inside[send_away]
        return gone

    def _caller(self, shown: Credential | None) -> Principal:
        assert self._keys is not None
        if shown is None:
            raise invalid_api_key("An API key is needed here: as `Authorization: Bearer KEY`, for one.")
        for mint in self._mints:
            caller = mint.caller_of(shown.secret)
            if caller is not None and self.still_admits(caller):
                return caller
        if shown.in_url:
            raise _not_in_url()
        key = self._keys.find(shown.secret)
        if key is None:
            raise invalid_api_key("Incorrect API key provided: it is unknown, revoked or has expired.")
        return Principal(key)


def _not_in_url() -> ClientError:
    what = "`token` in the URL takes a short-lived token, which POST /v1/tokens makes, while it is valid."
    return invalid_api_key(f"{what} It takes no key: URLs land in logs.")
