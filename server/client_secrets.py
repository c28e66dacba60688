"""ClientSecrets: short-lived keys for browsers and phones, each with the settings of the sessions it opens.

They live in the memory of one process.
"""

import time
import uuid
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Body
from pydantic import BaseModel, Field

from server.errors import overloaded
from server.realtime_session import RealtimeSession

PREFIX: Final = "ek_"
MOST: Final = 10_000
DEFAULT_SECONDS: Final = 600
BETA_SECONDS: Final = 60


@dataclass(frozen=True, slots=True)
class ClientSecret:
    """expires_at: Unix time, in seconds."""

    value: str
    expires_at: int
    session: RealtimeSession


class ClientSecrets:
    """Those that are valid, in the memory of this process: at most MOST. now: Unix time, in seconds."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._secrets: OrderedDict[str, ClientSecret] = OrderedDict()

    def __len__(self) -> int:
        return len(self._secrets)

    def mint(self, session: RealtimeSession, seconds: int) -> ClientSecret:
        """Raises ClientError where there are too many."""
        if len(self) >= MOST:
            self._forget_expired()
        if len(self) >= MOST:
            raise overloaded(f"{MOST} client secrets are valid, which is the limit.")
        value = f"{PREFIX}{uuid.uuid4().hex}"
        secret = ClientSecret(value, int(self._now()) + seconds, session)
        self._secrets[value] = secret
        return secret

    def session_of(self, value: str) -> RealtimeSession | None:
        """The settings that a key brings along; None for one that is not, or no longer, valid."""
        secret = self._secrets.get(value)
        return secret.session if secret is not None and self._now() < secret.expires_at else None

    def _forget_expired(self) -> None:
        now = self._now()
        for value in [value for value, secret in self._secrets.items() if secret.expires_at <= now]:
            del self._secrets[value]


class Expiry(BaseModel):
    anchor: Literal["created_at"] = "created_at"
    seconds: int = Field(DEFAULT_SECONDS, ge=10, le=7_200)


class SecretRequest(BaseModel):
    """session: as in `session.update`."""

    expires_after: Expiry | None = None
    session: dict[str, Any] | None = None


def client_secrets_router(secrets: ClientSecrets, plain: RealtimeSession) -> APIRouter:
    """plain: what a session is like of which nothing was said."""
    router = APIRouter(tags=["realtime"])

    async def create(request: SecretRequest | None = None) -> dict[str, object]:
        """A key for a browser; whoever connects with it finds these settings in force."""
        asked = request or SecretRequest()
        session = replace(plain, id=_session_id()).merged(asked.session or {})
        secret = secrets.mint(session, (asked.expires_after or Expiry()).seconds)
        return {
            "value": secret.value,
            "expires_at": secret.expires_at,
            "session": session.effective(),
        }

    def mint_flat(body: dict[str, Any], kind: str) -> dict[str, object]:
        session = replace(plain, id=_session_id(), beta=True).merged({**body, "type": kind})
        secret = secrets.mint(session, BETA_SECONDS)
        told = {"value": secret.value, "expires_at": secret.expires_at}
        return {**session.effective(), "client_secret": told}

    async def create_transcription_session(body: Flat = None) -> dict[str, object]:
        """The same in the beta protocol, whose settings are flat."""
        return mint_flat(body or {}, "transcription")

    async def create_session(body: Flat = None) -> dict[str, object]:
        """The same for a session of the beta protocol that is no transcription by name."""
        return mint_flat(body or {}, "realtime")

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
