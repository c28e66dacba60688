"""Define the notes whose replies a Realtime client must receive in order with the events of its session.

They enter the stream with `StreamInput.note` and leave it once voice detection has processed all audio
before them, so that replies have the order of the client's messages. A ClientError takes the same way.
"""

from dataclasses import dataclass
from typing import Literal

from audio.clip import samples_from_ms
from server.errors import ClientError
from server.protocols.openai_realtime.session_config import RealtimeConfig

SHORTEST_COMMIT = samples_from_ms(100)


@dataclass(frozen=True, slots=True)
class CommitReply:
    """Mark the place where a commit has taken effect.

    event_id: id that the client gave its message; None without one
    """

    event_id: str | None


@dataclass(frozen=True, slots=True)
class UpdateReply:
    """Mark the place from which new settings are in force.

    type: type of the reply
    """

    session: RealtimeConfig
    type: Literal["session.updated", "transcription_session.updated"]


@dataclass(frozen=True, slots=True)
class RetrieveReply:
    """Mark the place where the client asked to retrieve an item."""

    item_id: str
    event_id: str | None


@dataclass(frozen=True, slots=True)
class DeleteReply:
    """Mark the place where the client asked to delete an item."""

    item_id: str
    event_id: str | None


@dataclass(frozen=True, slots=True)
class IdleCheck:
    """Mark a place at which the idle timeout is checked."""


@dataclass(frozen=True, slots=True)
class CloseReply:
    """Mark the place where the client sent `session.close`."""


def commit_empty(samples: int, event_id: str | None = None) -> ClientError:
    """Return the error for a commit of too little audio; clients compare its text with OpenAI's.

    samples: samples that could have been committed
    """
    return ClientError(
        "input_audio_buffer_commit_empty",
        "Error committing input audio buffer: buffer too small. Expected at least 100ms of audio, but buffer "
        f"only has {samples / 16:.2f}ms of audio.",
        event_id=event_id,
    )


def no_such_item(verb: str, item_id: str, event_id: str | None) -> ClientError:
    """Return the error for an unknown item.

    verb: retrieve or delete
    """
    return ClientError(
        f"item_{verb}_invalid_item_id",
        f"There is no item {item_id[:100]!r}: it never existed or is no longer kept.",
        param="item_id",
        event_id=event_id,
    )
