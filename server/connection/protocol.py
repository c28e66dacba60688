"""Define what a wire protocol is to the connection runtime: a translation in both directions, without I/O."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol

from audio.clip import Clip, Samples
from journal.records import AudioRecord, CommandRecord, EndRecord
from server.errors import ClientError
from streaming.driver import StreamDriver
from streaming.events import Event, StreamClosed
from streaming.model_clients import ModelClients
from streaming.options import SessionOptions
from streaming.session import Session
from vad.segmenter import Reason

Message = Mapping[str, Any]  # a typed dict of the protocol's own, ready for JSON


class StreamInput(Protocol):
    """Accept the commands of a wire protocol: a StreamDriver, a MultichannelStream or a RecordedStream."""

    @property
    def channels(self) -> Sequence["StreamInput"]:
        """The streams of the channels that are kept apart; one if the channels are mixed."""
        ...

    @property
    def received(self) -> int:
        """Samples received so far."""
        ...

    @property
    def input_ended(self) -> bool:
        """Whether no more audio is accepted."""
        ...

    @property
    def accepts_turn_model(self) -> bool:
        """Whether the endpointing may depend on a model of the end of a turn."""
        ...

    def receive_audio(self, clip: Clip) -> None:
        """Take the next samples of the stream."""
        ...

    def commit(self) -> None:
        """End the open utterance here."""
        ...

    def clear(self) -> None:
        """Drop the open utterance."""
        ...

    def mark(self, marker: str) -> None:
        """Report the marker once everything before it is recognized."""
        ...

    def note(self, note: object) -> None:
        """Return the note among the events at this place of the stream."""
        ...

    def update(self, options: SessionOptions) -> None:
        """Change the options from here on."""
        ...

    def end(self, reason: Reason) -> None:
        """End the audio."""
        ...


class LiveStream(StreamInput, Protocol):
    """Describe what the connection runtime needs of a stream: a StreamDriver or a MultichannelStream."""

    @property
    def channels(self) -> Sequence[StreamDriver]:
        """The streams of the channels that are kept apart; one if the channels are mixed."""
        ...

    @property
    def session(self) -> Session:
        """The session, or that of the first channel."""
        ...

    @property
    def models(self) -> ModelClients:
        """The models of the stream."""
        ...

    def __enter__(self) -> object:
        """Begin the stream."""
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Free what the stream holds."""
        ...

    def end_without_audio(self) -> None:
        """End the open utterance here, because no audio follows for now."""
        ...

    def abandon(self) -> StreamClosed:
        """Account for all samples although results are missing. Idempotent."""
        ...

    @property
    def has_capacity(self) -> bool:
        """Whether more audio may come in."""
        ...

    async def wait_for_capacity(self) -> None:
        """Wait until more audio may come in. Raises Overloaded, SpoolFull, EventsUnread."""
        ...

    def events(self) -> AsyncIterator[Event]:
        """Yield the events in order, up to StreamClosed. Raises DetectorFailed, StreamBroken."""
        ...


@dataclass(frozen=True, slots=True)
class IdleLimit:
    """Limit how many seconds a client may send nothing; `error` makes the error that ends the connection."""

    seconds: float
    error: Callable[[], ClientError]


class ResumeSupport(Protocol):
    """Describe what a wire protocol offers if its sessions outlive their connections."""

    @property
    def key(self) -> bytes:
        """Digest of the token with which the client resumes."""
        ...

    @property
    def commands(self) -> int:
        """Number of messages so far that were not audio, refused ones included."""
        ...

    def saved(self) -> Mapping[str, object]:
        """Return, as JSON, the protocol's state that the stream does not hold."""
        ...

    def replay(self, entry: AudioRecord | CommandRecord | EndRecord) -> Sequence[Message]:
        """Apply recorded input again; return the replies."""
        ...

    def is_replayed(self, replies: Sequence[Message]) -> bool:
        """Return whether a replay of the message that was answered gives these replies again.

        False for what depends on time, such as acknowledgements of audio.
        """
        ...

    def pause(self) -> None:
        """Take in what the decoder still holds: the connection is lost, the client continues behind it."""
        ...

    def resumed_message(self, seen: int, replayed: int) -> Message:
        """Return the first message to a client that resumes.

        seen: number of the last message that the client has seen; replayed: number of messages that follow
        """
        ...

    def with_audio(self, message: Mapping[str, Any], samples: Samples | None) -> Mapping[str, Any]:
        """Restore a message that the journal keeps without its audio.

        samples: float32 at 16 kHz; None if the message had no audio or the audio is lost.
        """
        ...


class WireProtocol(Protocol):
    """Translate the messages of one session to stream commands, and stream events to messages."""

    @property
    def idle_limit(self) -> IdleLimit | None:
        """The longest silence of a client; None if a client may be silent for ever."""
        ...

    @property
    def resume_support(self) -> ResumeSupport | None:
        """How a disconnected client resumes; None if it cannot."""
        ...

    def initial_messages(self) -> Sequence[Message]:
        """Return the messages that are sent before any other."""
        ...

    def receive(self, message: str | bytes) -> Sequence[Message]:
        """Apply a message; return the replies that need not wait. Raises ClientError."""
        ...

    @property
    def has_pending_input(self) -> bool:
        """Whether part of a long message is left for `continue_input`."""
        ...

    def continue_input(self) -> Sequence[Message]:
        """Apply the next part of a long message, as `receive` does."""
        ...

    def acknowledge(self) -> Sequence[Message]:
        """Return the periodic acknowledgement of received audio, if there is something new."""
        ...

    def finish(self, reason: Reason) -> None:
        """End the audio behind what the decoder still holds. Idempotent. Raises ClientError."""
        ...

    def encode(self, event: Event) -> Sequence[Message]:
        """Return the messages for an event; none if this client is sent none. Call it for every event."""
        ...

    def wants_speakers(self, utterance: int) -> bool:
        """Return whether the final of an utterance says who speaks. Call it before `encode` of the final."""
        ...

    @property
    def wants_revisions(self) -> bool:
        """Whether the client wants to know if earlier finals turn out to have other speakers."""
        ...

    def encode_error(self, error: ClientError) -> Message | None:
        """Return the message for an error; None if the protocol has none and only the close reports it."""
        ...

    def with_sequence_number(self, message: Message, number: int) -> Message:
        """Return the message with its number in the session, from 1 on."""
        ...

    def describe(self) -> Mapping[str, object]:
        """Return the configuration for the log, without private fields."""
        ...
