"""Notes: what a Realtime client asked for that is answered at its place among the events of its session.

They go into the stream with `Pump.note`, and come back once all that was said before them has been judged: so
replies come in the order of what was asked. A ClientError goes the same way.
"""

from dataclasses import dataclass

from audio.clip import samples_from_ms
from server.errors import ClientError
from server.protocols.openai_realtime.session_config import RealtimeConfig

SHORTEST_COMMIT = samples_from_ms(100)


@dataclass(frozen=True, slots=True)
class CommitReply:
    """A commit has taken effect. event_id: the client's own of its message."""

    event_id: str | None


@dataclass(frozen=True, slots=True)
class UpdateReply:
    """From here on these are the settings; `type` is that of the reply."""

    session: RealtimeConfig
    type: str


@dataclass(frozen=True, slots=True)
class RetrieveReply:
    """The client wants to see an item."""

    item_id: str
    event_id: str | None


@dataclass(frozen=True, slots=True)
class DeleteReply:
    """The client wants an item to be forgotten."""

    item_id: str
    event_id: str | None


@dataclass(frozen=True, slots=True)
class PlaceholderReply:
    """Some sound has passed: time to see for how long nobody has spoken."""


@dataclass(frozen=True, slots=True)
class LeftoverReply:
    """The client has said `session.close`."""


def commit_empty(samples: int, event_id: str | None = None) -> ClientError:
    """samples: that were there to commit. In OpenAI's words, which clients compare."""
    return ClientError(
        "input_audio_buffer_commit_empty",
        "Error committing input audio buffer: buffer too small. Expected at least 100ms of audio, but buffer "
        f"only has {samples / 16:.2f}ms of audio.",
        event_id=event_id,
    )


def no_such_item(verb: str, item_id: str, event_id: str | None) -> ClientError:
    """verb: retrieve or delete."""
    return ClientError(
        f"item_{verb}_invalid_item_id",
        f"There is no item {item_id[:100]!r}: it never was, or is one of those that were forgotten.",
        param="item_id",
        event_id=event_id,
    )
