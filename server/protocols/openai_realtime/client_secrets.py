"""Create short-lived keys for browsers and phones, each with the settings of the sessions that it opens.

The keys are kept in the memory of one process.
"""

import json
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Body, Request
from pydantic import BaseModel, ConfigDict, Field

from server.auth.api_keys import ANYONE, Principal, caller_of
from server.errors import overloaded, token_not_enough
from server.protocols.openai_realtime.session_config import RealtimeConfig
from server.validation import Whole

PREFIX: Final = "ek_"
MAX_SECRETS: Final = 10_000
MAX_BYTES: Final = 16 << 20
MAX_PER_KEY: Final = 1_000  # client secrets of one API key
DEFAULT_SECONDS: Final = 600
BETA_SECONDS: Final = 60


@dataclass(frozen=True, slots=True)
class ClientSecret:
    """Hold a short-lived key.

    expires_at: Unix time in seconds
    session: settings of the sessions that it opens
    caller: principal on whose behalf the secret is used
    weight: size of the requested settings in bytes
    """

    value: str
    expires_at: int
    session: RealtimeConfig
    caller: Principal
    weight: int = 0


class ClientSecrets:
    """Keep the valid client secrets: at most MAX_SECRETS, with settings of at most MAX_BYTES in total.

    now: clock that returns Unix time in seconds
    """

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._secrets: OrderedDict[str, ClientSecret] = OrderedDict()
        self._weight = 0

    def __len__(self) -> int:
        return len(self._secrets)

    def mint(
        self, session: RealtimeConfig, seconds: int, caller: Principal = ANYONE, weight: int = 0
    ) -> ClientSecret:
        """Create a secret that stands for the caller.

        Raises ClientError if there are too many secrets, and if the caller itself uses a token.

        weight: size of the settings in bytes
        """
        if caller.token is not None:
            raise token_not_enough()
        if self._is_full(caller, weight):
            self._forget_expired()
        if self._is_full(caller, weight):
            raise overloaded(
                f"{MAX_SECRETS} client secrets are valid, or {MAX_PER_KEY} of this key; "
                "no more can be created."
            )
        value = f"{PREFIX}{uuid.uuid4().hex}"
        own = replace(caller, token=uuid.uuid4().hex[:12])
        secret = ClientSecret(value, int(self._now()) + seconds, session, own, weight)
        self._secrets[value] = secret
        self._weight += weight
        return secret

    def session_of(self, value: str) -> RealtimeConfig | None:
        """Return the settings of a secret; None if it is unknown or has expired."""
        secret = self._valid(value)
        return None if secret is None else secret.session

    def caller_of(self, value: str) -> Principal | None:
        """Return the principal that a secret stands for; None if it is unknown or has expired."""
        secret = self._valid(value)
        return None if secret is None else secret.caller

    def _valid(self, value: str) -> ClientSecret | None:
        secret = self._secrets.get(value)
        return secret if secret is not None and self._now() < secret.expires_at else None

    def _is_full(self, caller: Principal, weight: int) -> bool:
        """Return whether a limit is reached; the limit of one key keeps it from using all secrets."""
        if len(self) >= MAX_SECRETS or self._weight + weight > MAX_BYTES:
            return True
        if caller.key is None:
            return False
        return sum(secret.caller.key == caller.key for secret in self._secrets.values()) >= MAX_PER_KEY

    def _forget_expired(self) -> None:
        now = self._now()
        for value in [value for value, secret in self._secrets.items() if secret.expires_at <= now]:
            self._weight -= self._secrets.pop(value).weight


class Expiry(BaseModel):
    model_config = ConfigDict(strict=True)  # A text in JSON is no number.

    anchor: Literal["created_at"] = "created_at"
    seconds: Whole = Field(DEFAULT_SECONDS, ge=10, le=7_200)


class SecretRequest(BaseModel):
    """Hold the body of a request.

    session: settings, as in `session.update`
    """

    expires_after: Expiry | None = None
    session: dict[str, Any] | None = None


def client_secrets_router(secrets: ClientSecrets, plain: RealtimeConfig) -> APIRouter:
    """Return the routes that create client secrets.

    plain: settings of a session for which nothing was requested
    """
    router = APIRouter(tags=["realtime"])

    async def create(request: Request, body: SecretRequest | None = None) -> dict[str, object]:
        """Create a key for a browser; these settings are in force when a client connects with it."""
        body = body or SecretRequest()
        session = replace(plain, id=_session_id()).merged(body.session or {})
        seconds = (body.expires_after or Expiry()).seconds
        secret = secrets.mint(session, seconds, caller_of(request.scope), len(json.dumps(body.session)))
        return {
            "value": secret.value,
            "expires_at": secret.expires_at,
            "session": session.effective(),
        }

    def mint_flat(request: Request, body: dict[str, Any], kind: str) -> dict[str, object]:
        session = replace(plain, id=_session_id(), beta=True).merged({**body, "type": kind})
        secret = secrets.mint(session, BETA_SECONDS, caller_of(request.scope), len(json.dumps(body)))
        client_secret = {"value": secret.value, "expires_at": secret.expires_at}
        return {**session.effective(), "client_secret": client_secret}

    async def create_transcription_session(request: Request, body: Flat = None) -> dict[str, object]:
        """Create a key for a transcription session of the beta protocol, whose settings are flat."""
        return mint_flat(request, body or {}, "transcription")

    async def create_session(request: Request, body: Flat = None) -> dict[str, object]:
        """Create a key for a session of the beta protocol that is not called a transcription session."""
        return mint_flat(request, body or {}, "realtime")

    for root in ("/v1", "/openai/v1"):
        in_schema = root == "/v1"
        router.post(f"{root}/realtime/client_secrets", include_in_schema=in_schema)(create)
        router.post(f"{root}/realtime/transcription_sessions", include_in_schema=in_schema)(
            create_transcription_session
        )
        router.post(f"{root}/realtime/sessions", include_in_schema=in_schema)(create_session)
    return router


Flat = Annotated[dict[str, Any] | None, Body()]


def _session_id() -> str:
    return f"sess_{uuid.uuid4().hex[:24]}"
