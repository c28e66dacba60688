"""ClientSecrets: short-lived keys for browsers and phones, each with the settings of the sessions it opens.

They live in the memory of one process.
"""

import json
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Body, Request
from pydantic import BaseModel, Field

from server.auth.api_keys import ANYONE, Principal, caller_of
from server.errors import overloaded, token_not_enough
from server.protocols.openai_realtime.session_config import RealtimeConfig

PREFIX: Final = "ek_"
MOST: Final = 10_000
MOST_BYTES: Final = 16 << 20
MOST_OF_ONE: Final = 1_000  # of one key
DEFAULT_SECONDS: Final = 600
BETA_SECONDS: Final = 60


@dataclass(frozen=True, slots=True)
class ClientSecret:
    """expires_at: Unix time, in seconds."""

    value: str
    expires_at: int
    session: RealtimeConfig
    caller: Principal
    weight: int = 0  # bytes of its settings, as they were asked for


class ClientSecrets:
    """Those that are valid, in the memory of this process: at most MOST, with settings of MOST_BYTES in all.

    now: Unix time, in seconds
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
        """It stands for who asks. Raises ClientError where there are too many, and of a token.

        weight: bytes of the settings
        """
        if caller.token is not None:
            raise token_not_enough()
        if self._is_full(caller, weight):
            self._forget_expired()
        if self._is_full(caller, weight):
            raise overloaded(
                f"{MOST} client secrets are valid, or {MOST_OF_ONE} of this key: no more may be."
            )
        value = f"{PREFIX}{uuid.uuid4().hex}"
        own = replace(caller, token=uuid.uuid4().hex[:12])
        secret = ClientSecret(value, int(self._now()) + seconds, session, own, weight)
        self._secrets[value] = secret
        self._weight += weight
        return secret

    def session_of(self, value: str) -> RealtimeConfig | None:
        """The settings that a key brings along; None for one that is not, or no longer, valid."""
        secret = self._valid(value)
        return None if secret is None else secret.session

    def caller_of(self, value: str) -> Principal | None:
        """Whom it stands for; None for one that is not, or no longer, valid."""
        secret = self._valid(value)
        return None if secret is None else secret.caller

    def _valid(self, value: str) -> ClientSecret | None:
        secret = self._secrets.get(value)
        return secret if secret is not None and self._now() < secret.expires_at else None

    def _is_full(self, caller: Principal, weight: int) -> bool:
        """One key leaves room for the others."""
        if len(self) >= MOST or self._weight + weight > MOST_BYTES:
            return True
        if caller.key is None:
            return False
        return sum(secret.caller.key == caller.key for secret in self._secrets.values()) >= MOST_OF_ONE

    def _forget_expired(self) -> None:
        now = self._now()
        for value in [value for value, secret in self._secrets.items() if secret.expires_at <= now]:
            self._weight -= self._secrets.pop(value).weight


class Expiry(BaseModel):
    anchor: Literal["created_at"] = "created_at"
    seconds: int = Field(DEFAULT_SECONDS, ge=10, le=7_200)


class SecretRequest(BaseModel):
    """session: as in `session.update`."""

    expires_after: Expiry | None = None
    session: dict[str, Any] | None = None


def client_secrets_router(secrets: ClientSecrets, plain: RealtimeConfig) -> APIRouter:
    """plain: what a session is like of which nothing was said."""
    router = APIRouter(tags=["realtime"])

    async def create(request: Request, asked: SecretRequest | None = None) -> dict[str, object]:
        """A key for a browser; whoever connects with it finds these settings in force."""
        asked = asked or SecretRequest()
        session = replace(plain, id=_session_id()).merged(asked.session or {})
        seconds = (asked.expires_after or Expiry()).seconds
        secret = secrets.mint(session, seconds, caller_of(request.scope), len(json.dumps(asked.session)))
        return {
            "value": secret.value,
            "expires_at": secret.expires_at,
            "session": session.effective(),
        }

    def mint_flat(request: Request, body: dict[str, Any], kind: str) -> dict[str, object]:
        session = replace(plain, id=_session_id(), beta=True).merged({**body, "type": kind})
        secret = secrets.mint(session, BETA_SECONDS, caller_of(request.scope), len(json.dumps(body)))
        told = {"value": secret.value, "expires_at": secret.expires_at}
        return {**session.effective(), "client_secret": told}

    async def create_transcription_session(request: Request, body: Flat = None) -> dict[str, object]:
        """The same in the beta protocol, whose settings are flat."""
        return mint_flat(request, body or {}, "transcription")

    async def create_session(request: Request, body: Flat = None) -> dict[str, object]:
        """The same for a session of the beta protocol that is no transcription by name."""
        return mint_flat(request, body or {}, "realtime")

    for root in ("/v1", "/openai/v1"):
        shown = root == "/v1"
        router.post(f"{root}/realtime/client_secrets", include_in_schema=shown)(create)
        router.post(f"{root}/realtime/transcription_sessions", include_in_schema=shown)(
            create_transcription_session
        )
        router.post(f"{root}/realtime/sessions", include_in_schema=shown)(create_session)
    return router


Flat = Annotated[dict[str, Any] | None, Body()]


def _session_id() -> str:
    return f"sess_{uuid.uuid4().hex[:24]}"
