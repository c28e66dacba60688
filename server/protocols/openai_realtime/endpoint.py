"""The door of OpenAI's Realtime API, /v1/realtime: docs/realtime.md spoken over one WebSocket."""

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
from server.connection.protocol import Message
from server.errors import CLOSE_BAD_REQUEST, ClientError, as_rate_limit, invalid_api_key
from server.observability.metrics import Metrics
from server.protocols.openai_realtime.client_secrets import PREFIX, ClientSecrets
from server.protocols.openai_realtime.input import RealtimeInput
from server.protocols.openai_realtime.output import RealtimeOutput
from server.protocols.openai_realtime.session_config import RealtimeConfig
from server.settings import Settings
from streaming.driver import StreamDriver
from streaming.events import Event
from vad.segmenter import Reason

if TYPE_CHECKING:
    from server.observability.tracing import Tracer

PATHS: Final = ("/v1/realtime", "/openai/v1/realtime", "/openai/realtime")
BETA_PATH: Final = "/openai/realtime"  # Azure's, before GA
SUBPROTOCOL: Final = "realtime"
BETA_SUBPROTOCOL: Final = "openai-beta.realtime-v1"
PRIVATE: Final = frozenset({"prompt", "keywords"})  # of what is in force; not for the log


class RealtimeProtocol:
    """One connection's. recognizer: what does the work, told with the settings."""

    idle_seconds = None
    comeback = None

    def __init__(
        self, name: str, pump: StreamDriver, session: RealtimeConfig, recognizer: Mapping[str, object]
    ) -> None:
        self._name = name
        self._recognizer = recognizer
        self._intake = RealtimeInput(pump, session)
        self._wire = RealtimeOutput(name, session)

    @property
    def ended(self) -> bool:
        return self._intake.ended

    def greet(self) -> Sequence[Message]:
        session = self._intake.session
        is_flat_transcription = session.beta and session.given.type == "transcription"
        type_ = "transcription_session.created" if is_flat_transcription else "session.created"
        return [{"type": type_, "session": session.effective(), "recognizer": self._recognizer}]

    def receive(self, message: str | bytes) -> Sequence[Message]:
        self._intake.receive(message)
        return ()

    @property
    def has_more(self) -> bool:
        return self._intake.has_more

    def go_on(self) -> Sequence[Message]:
        self._intake.go_on()
        return ()

    def acknowledge(self) -> Sequence[Message]:
        return ()

    def finish(self, reason: Reason) -> None:
        self._intake.finish(reason)

    def tell(self, event: Event) -> Sequence[Message]:
        return self._wire.messages_of(event)

    def complain(self, error: ClientError) -> Message:
        return error.as_event()

    def stamp(self, message: Message, number: int) -> None:
        message["event_id"] = f"event_{self._name}_{number}"

    def describe(self) -> Mapping[str, object]:
        session = self._intake.session
        said = session.transcription.model_dump(exclude_none=True, exclude=set(PRIVATE))
        return {"protocol": "beta" if session.beta else "GA", "encoding": session.encoding, **said}


class RealtimeEndpoint(WebSocketEndpoint):
    """/v1/realtime. A key may be a client secret, which brings its settings along."""

    max_message_bytes: ClassVar[int | None] = 22 << 20  # an append may hold 15 MiB of sound, in base64

    def __init__(
        self,
        settings: Settings,
        engine: Engine,
        admission: AdmissionController,
        metrics: Metrics,
        secrets: ClientSecrets,
        plain: RealtimeConfig,
        *,
        gate: Authenticator,
        tracer: "Tracer | None" = None,
    ) -> None:
        super().__init__(settings, engine, admission, metrics, gate=gate, tracer=tracer)
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

        def dialect(name: str, pump: StreamDriver, description: ModelInfo) -> RealtimeProtocol:
            own = replace(session, id=f"sess_{name}")
            return RealtimeProtocol(name, pump, own, dataclasses.asdict(description))

        return SessionRequest(recognizer, session.options, dialect)

    def refusal(self, error: ClientError) -> Mapping[str, object]:
        return as_rate_limit(error).as_event() | {"event_id": "event_0"}

    async def deny(self, websocket: WebSocket, error: ClientError) -> None:
        """As OpenAI does: whoever comes is let in, hears why not, and is sent away."""
        await self.deny_after_upgrade(websocket, as_rate_limit(error))

    def _session(self, websocket: WebSocket) -> RealtimeConfig:
        """As the handshake asks for it. Raises ClientError."""
        shown, query = credential_of(websocket.scope), websocket.query_params
        by_secret = shown is not None and shown.secret.startswith(PREFIX)
        session = self._secrets.session_of(shown.secret) if by_secret and shown else self._plain
        if session is None:  # also where no keys are asked for
            raise invalid_api_key("Incorrect API key provided.")
        session = replace(session, beta=_is_beta(websocket))
        model = query.get("model") or query.get("deployment")  # as Azure calls it
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
