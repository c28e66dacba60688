"""Dialect: what the protocols of the WebSocket doors have in common. Each is a translation, without I/O."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from audio.clip import Samples
from journal.recorder import NullRecorder
from journal.records import AudioRecord, CommandRecord, EndRecord
from server.errors import ClientError
from streaming.events import Event
from vad.segmenter import Reason

Message = dict[str, Any]


class ResumeSupport(Protocol):
    """A session that outlives its socket."""

    @property
    def key(self) -> bytes:
        """Digest of the token with which the client comes back."""
        ...

    @property
    def recording(self) -> NullRecorder:
        """What is kept of the session beyond the server."""
        ...

    def saved(self) -> Mapping[str, object]:
        """All that the dialect remembers and the session does not, as JSON."""
        ...

    def replay(self, entry: AudioRecord | CommandRecord | EndRecord) -> Sequence[Message]:
        """Acts on what came in before; returns the replies."""
        ...

    def is_replayed(self, replies: Sequence[Message]) -> bool:
        """Tell whether a replay of the message that was answered gives these replies again.

        False for what depends on time, such as acknowledgements of audio.
        """
        ...

    def pause(self) -> None:
        """The client is cut off: what the decoder still holds comes in, for the client goes on behind it."""
        ...

    def welcome(self, seen: int, replayed: int) -> Message:
        """What is told first to who has come back, and has seen the messages up to a number."""
        ...

    def with_audio(self, message: Mapping[str, Any], samples: Samples | None) -> Mapping[str, Any]:
        """Restore a message that the journal keeps without its audio.

        samples: float32 at 16 kHz; None if the message had no audio or the audio is lost.
        """
        ...


class WireProtocol(Protocol):
    """One connection: a client's messages to calls of its pump, and the pump's events to messages."""

    @property
    def ended(self) -> bool:
        """No more audio is taken in."""
        ...

    @property
    def idle_seconds(self) -> float | None:
        """For so long a client may say nothing at all; None for ever."""
        ...

    def greet(self) -> Sequence[Message]:
        """What is told before anything else."""
        ...

    def receive(self, message: str | bytes) -> Sequence[Message]:
        """Acts on a message; returns the replies that need not wait. Raises ClientError."""
        ...

    @property
    def has_more(self) -> bool:
        """Something is left of a message that is too long to be taken in at once: now `go_on`."""
        ...

    def go_on(self) -> Sequence[Message]:
        """Acts on the next part of such a message, as `receive` does."""
        ...

    def acknowledge(self) -> Sequence[Message]:
        """What is told from time to time of how much has come in, if it is more than was told before."""
        ...

    @property
    def comeback(self) -> ResumeSupport | None:
        """How a client that was cut off comes back; None where it cannot."""
        ...

    def finish(self, reason: Reason) -> None:
        """Ends the audio: what the decoder still holds comes first. Idempotent. Raises ClientError."""
        ...

    def tell(self, event: Event) -> Sequence[Message]:
        """The messages that tell of an event; none if this client is not to hear of it."""
        ...

    def complain(self, error: ClientError) -> Message | None:
        """The message that tells of an error; None where the protocol has none and the close must do."""
        ...

    def stamp(self, message: Message, number: int) -> None:
        """Writes the number of a message in its session, from 1 on, into it."""
        ...

    def describe(self) -> Mapping[str, object]:
        """What is in force, for the log: without what is private."""
        ...
