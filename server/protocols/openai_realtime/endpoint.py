"""Serve OpenAI's Realtime transcription API (docs/realtime.md) over the WebSocket /v1/realtime."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, Final

from starlette.websockets import WebSocket

from asr.recognizer import ModelInfo
from engine.engine import Engine
from server.admission.controller import AdmissionController
from server.auth.authenticator import Authenticator, credential_of
from server.connection.endpoint import SessionRequest, WebSocketEndpoint
from server.connection.protocol import StreamInput
from server.errors import CLOSE_BAD_REQUEST, ClientError, as_rate_limit, invalid_api_key
from server.observability.metrics import Metrics
from server.protocols.openai_realtime.client_secrets import PREFIX, ClientSecrets
from server.protocols.openai_realtime.session_config import RealtimeConfig
from server.settings import Settings

if TYPE_CHECKING:
    from server.observability.tracing import Tracer
from server.protocols.openai_realtime.protocol import RealtimeProtocol

PATHS: Final = ("/v1/realtime", "/openai/v1/realtime", "/openai/realtime")
BETA_PATH: Final = "/openai/realtime"  # the path that Azure used before GA
SUBPROTOCOL: Final = "realtime"
BETA_SUBPROTOCOL: Final = "openai-beta.realtime-v1"


class RealtimeEndpoint(WebSocketEndpoint):
    """Serve /v1/realtime. A key may be a client secret, which has settings of its own."""

    max_message_bytes: ClassVar[int | None] = 22 << 20  # an append may hold 15 MiB of audio in base64

    def __init__(
        self,
        settings: Settings,
        engine: Engine,
        admission: AdmissionController,
        metrics: Metrics,
        secrets: ClientSecrets,
        plain: RealtimeConfig,
        *,
        auth: Authenticator,
        tracer: "Tracer | None" = None,
    ) -> None:
        super().__init__(settings, engine, admission, metrics, auth=auth, tracer=tracer)
        self._secrets = secrets
        self._plain = plain

    def subprotocol(self, websocket: WebSocket) -> str | None:
        return SUBPROTOCOL if SUBPROTOCOL in _offered(websocket) else None

    def open(self, websocket: WebSocket) -> SessionRequest:
        session = self._session(websocket)
        recognizers = self.engine.recognizers
        names = (session.transcription.model, session.given.model)
        known = (recognizers.resolve(name) for name in names if name)
        recognizer = next((name for name in known if name), recognizers.default)

        def protocol(name: str, stream: StreamInput, description: ModelInfo) -> RealtimeProtocol:
            own = replace(session, id=f"sess_{name}")
            return RealtimeProtocol(name, stream, own, dataclasses.asdict(description))

        return SessionRequest(recognizer, session.options, protocol)

    def refusal(self, error: ClientError) -> Mapping[str, object]:
        return {**as_rate_limit(error).as_event(), "event_id": "event_0"}

    async def deny(self, websocket: WebSocket, error: ClientError) -> None:
        """Accept the connection, send the error and close it, as OpenAI does."""
        await self.deny_after_upgrade(websocket, as_rate_limit(error))

    def _session(self, websocket: WebSocket) -> RealtimeConfig:
        """Return the settings that the handshake requests. Raises ClientError."""
        credential, query = credential_of(websocket.scope), websocket.query_params
        by_secret = credential is not None and credential.secret.startswith(PREFIX)
        session = self._secrets.session_of(credential.secret) if by_secret and credential else self._plain
        if session is None:  # A client secret must be valid even if the server requires no keys.
            raise invalid_api_key("Incorrect API key provided.")
        session = replace(session, beta=_is_beta(websocket))
        model = query.get("model") or query.get("deployment")  # Azure calls it `deployment`.
        if query.get("intent") == "transcription":
            named = {"audio": {"input": {"transcription": {"model": model}}}}
            return session.merged({"type": "transcription", **(named if model else {})})
        if model:
            return session.merged({"model": model} if by_secret else {"type": "realtime", "model": model})
        if by_secret:
            return session
        problem = "You must provide a model parameter, or intent=transcription."
        reason = "invalid_request_error.missing_model"
        raise ClientError("missing_model", problem, close=CLOSE_BAD_REQUEST, reason=reason)


def _is_beta(websocket: WebSocket) -> bool:
    return (
        "realtime=v1" in websocket.headers.get("openai-beta", "")
        or BETA_SUBPROTOCOL in _offered(websocket)
        or websocket.url.path.endswith(BETA_PATH)
    )


def _offered(websocket: WebSocket) -> Sequence[str]:
    offered: Sequence[str] = websocket.scope.get("subprotocols", ())
    return offered
