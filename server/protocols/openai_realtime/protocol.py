"""Translate between OpenAI's Realtime messages (docs/realtime.md) and a stream."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from server.connection.protocol import Message, StreamInput
from server.errors import ClientError
from server.protocols.openai_realtime.input import RealtimeInput
from server.protocols.openai_realtime.messages import SessionCreatedEvent
from server.protocols.openai_realtime.output import RealtimeOutput
from server.protocols.openai_realtime.session_config import RealtimeConfig
from streaming.events import Event
from vad.segmenter import Reason

if TYPE_CHECKING:
    pass

PRIVATE: Final = frozenset({"prompt", "keywords"})  # settings that must not be logged


class RealtimeProtocol:
    """Translate one session between Realtime messages and its stream.

    recognizer: description of the model, sent with the settings
    """

    idle_limit = None
    wants_revisions = False
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
        """Apply a message; the stream returns its reply later, as a note."""
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

    def wants_speakers(self, utterance: int) -> bool:
        """Return False: the protocol has no field for speakers."""
        return False

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
