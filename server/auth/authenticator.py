"""Identify the client of a request or a handshake by the credential in it.

This module only decides; middleware and endpoints send the refusals.
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, Protocol
from urllib.parse import parse_qs

from server.auth.api_keys import ANYONE, CALLER, ApiKeys, Principal
from server.errors import ClientError, invalid_api_key

SCHEMES: Final = ("bearer", "token")  # `token` is Deepgram's
KEY_HEADERS: Final = (b"api-key", b"x-api-key")  # used by Azure and others
# A browser cannot set headers of a WebSocket, but it can name subprotocols. OpenAI's and ours contain the
# key; Deepgram's is followed by it.
KEY_SUBPROTOCOLS: Final = ("openai-insecure-api-key.", "stt-key.")

Scope = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Credential:
    """Hold the secret that a client presented.

    in_url: it was in the query. URLs appear in logs and histories, so only tokens are accepted there.
    """

    secret: str
    in_url: bool = False


def credential_of(scope: Scope) -> Credential | None:
    """Return the credential in an ASGI scope, or None.

    A header takes precedence over a subprotocol, and that over the URL.
    """
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
    """Verify short-lived secrets of one kind."""

    def caller_of(self, value: str) -> Principal | None:
        """Return the principal that a secret identifies, or None if it is invalid or has expired."""
        ...


CloseCallback = Callable[[], Awaitable[None]]


class Authenticator:
    """Authenticate clients, and track their connections until the keys are revoked.

    keys: the API keys; None if clients need no key
    verifiers: the kinds of short-lived secrets that are accepted besides keys
    """

    def __init__(self, keys: ApiKeys | None = None, *verifiers: TokenVerifier) -> None:
        self._keys = keys
        self._verifiers = verifiers
        self._connections: dict[CloseCallback, Principal] = {}

    def admit(self, scope: MutableMapping[str, Any]) -> Principal:
        """Return the principal of a request, and store it in the scope for `caller_of`.

        Raises ClientError if a key is needed and the request has no valid credential.
        """
        caller = self._caller(credential_of(scope)) if self._keys is not None else ANYONE
        scope[CALLER] = caller
        return caller

    def owner(self, name: str | None) -> Principal:
        """Return the principal that owns a session by the name of its key.

        The principal has no key if the key of that name was removed or has expired.
        """
        key = self._keys.named(name) if self._keys is not None and name is not None else None
        return Principal(key)

    def still_admits(self, caller: Principal) -> bool:
        """Return whether the key of a principal is still valid.

        A token is checked only when the connection begins, so its expiry does not matter here.
        """
        return self._keys is None or (caller.key is not None and self._keys.is_valid(caller.key))

    @contextmanager
    def track(self, caller: Principal, close: CloseCallback) -> Iterator[None]:
        """Track a connection while the context lasts.

        close: called if its key is revoked
        """
        self._connections[close] = caller
        try:
            yield
        finally:
            self._connections.pop(close, None)

    def revoked(self) -> list[CloseCallback]:
        """Return the close callbacks of tracked connections whose key is no longer valid, each only once."""
        revoked = [close for close, caller in self._connections.items() if not self.still_admits(caller)]
        for close in revoked:
            del self._connections[close]
        return revoked

    def _caller(self, credential: Credential | None) -> Principal:
        assert self._keys is not None
        if credential is None:
            raise invalid_api_key(
                "An API key is needed, for example in the header `Authorization: Bearer KEY`."
            )
        for verifier in self._verifiers:
            caller = verifier.caller_of(credential.secret)
            if caller is not None and self.still_admits(caller):
                return caller
        if credential.in_url:
            raise _not_in_url()
        key = self._keys.find(credential.secret)
        if key is None:
            raise invalid_api_key("Incorrect API key provided: it is unknown, was revoked or has expired.")
        return Principal(key)


def _not_in_url() -> ClientError:
    return invalid_api_key(
        "The parameter `token` in the URL must be a valid short-lived token from POST /v1/tokens. "
        "API keys are not accepted there, because URLs land in logs."
    )
