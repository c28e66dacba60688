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
from server.connection.protocol import Message, StreamInput
from server.errors import CLOSE_BAD_REQUEST, ClientError, as_rate_limit, invalid_api_key
from server.observability.metrics import Metrics
from server.protocols.openai_realtime.client_secrets import PREFIX, ClientSecrets
from server.protocols.openai_realtime.input import RealtimeInput
from server.protocols.openai_realtime.messages import SessionCreatedEvent
from server.protocols.openai_realtime.output import RealtimeOutput
from server.protocols.openai_realtime.session_config import RealtimeConfig
from server.settings import Settings
from streaming.events import Event
from vad.segmenter import Reason

if TYPE_CHECKING:
    from server.observability.tracing import Tracer

PATHS: Final = ("/v1/realtime", "/openai/v1/realtime", "/openai/realtime")
BETA_PATH: Final = "/openai/realtime"  # the path that Azure used before GA
SUBPROTOCOL: Final = "realtime"
BETA_SUBPROTOCOL: Final = "openai-beta.realtime-v1"
PRIVATE: Final = frozenset({"prompt", "keywords"})  # settings that must not be logged


class RealtimeProtocol:
    """Translate one session between Realtime messages and its stream.

    recognizer: description of the model, sent with the settings
    """

    idle_limit = None
    resume_support = None

    def __init__(
        self, name: str, stream: StreamInput, session: RealtimeConfig, recognizer: Mapping[str, object]
    ) -> None:
        self._name = name
        self._recognizer = recognizer
        self._input = RealtimeInput(stream, session)
        self._output = RealtimeOutput(name, session)

    def initial_messages(self) -> Sequence[Message]:
        """Return `session.created`, in the client's shape."""
        session = self._input.session
        is_flat_transcription = session.beta and session.given.type == "transcription"
        created = SessionCreatedEvent(
            type="transcription_session.created" if is_flat_transcription else "session.created",
            session=session.effective(),
            recognizer=self._recognizer,
        )
        return [created]

    def receive(self, message: str | bytes) -> Sequence[Message]:
        """Apply a message; its reply comes back later as a note in the stream."""
        self._input.receive(message)
        return ()

    @property
    def has_pending_input(self) -> bool:
        """Whether part of a long message is left for `continue_input`."""
        return self._input.has_pending_input

    def continue_input(self) -> Sequence[Message]:
        """Apply the next part of a long message."""
        self._input.continue_input()
        return ()

    def acknowledge(self) -> Sequence[Message]:
        """Return nothing: this protocol has no acknowledgements."""
        return ()

    def finish(self, reason: Reason) -> None:
        """End the audio. Idempotent."""
        self._input.finish(reason)

    def encode(self, event: Event) -> Sequence[Message]:
        """Return the messages for an event."""
        return self._output.messages_of(event)

    def encode_error(self, error: ClientError) -> Message:
        """Return the `error` message."""
        return error.as_event()

    def with_sequence_number(self, message: Message, number: int) -> Message:
        """Add `event_id` to a message."""
        return {**message, "event_id": f"event_{self._name}_{number}"}

    def describe(self) -> Mapping[str, object]:
        """Return the configuration without prompt and keywords."""
        session = self._input.session
        transcription = session.transcription.model_dump(exclude_none=True, exclude=set(PRIVATE))
        return {"protocol": "beta" if session.beta else "GA", "encoding": session.encoding, **transcription}


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
