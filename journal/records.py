"""Entry: what a journal's file holds of a session, in the order in which it came.

That is all it takes to play it once more, and what was told of it meanwhile. Opened begins a file: the
session as it stood then. Sound and Command came from the client; Told went out to it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from enum import IntEnum
from itertools import groupby
from typing import Any, Final

import numpy as np
import orjson
from pydantic import TypeAdapter, ValidationError

from asr.recognizer import Hypothesis
from audio.clip import Samples
from journal.framing import frame
from streaming.events import (
    AudioCleared,
    Event,
    FinalTranscript,
    LagReported,
    MarkerReached,
    NoteReached,
    PartialTranscript,
    StreamClosed,
    TranscriptionFailed,
    UtteranceEnded,
    UtteranceStarted,
)
from streaming.snapshot import Snapshot, StreamState
from streaming.utterance import RecordedResult
from vad.detector_input import DetectorState
from vad.segmenter import Reason

REPLY: Final = "reply"
# Names on disk: older journals hold them, so they stay whatever the classes are called.
KINDS: Final[Mapping[type[Event], str]] = {
    UtteranceStarted: "SpeechStarted",
    UtteranceEnded: "SpeechStopped",
    PartialTranscript: "",
    FinalTranscript: "Final",
    TranscriptionFailed: "Final",
    AudioCleared: "Cleared",
    MarkerReached: "MarkerReached",
    NoteReached: "",
    LagReported: "",
    StreamClosed: "Closed",
}
PCM16: Final = b"\0"
FLOAT32: Final = b"\1"


class DamagedRecord(ValueError):
    """A whole record that is no entry: of another version, or made up."""


class RecordType(IntEnum):
    """Kinds of records. A number is never used for something else."""

    OPENED = 1
    SOUND = 2
    COMMAND = 3
    REFUSED = 4
    TOLD = 5
    ENDED = 6
    TAKEN_UP = 7
    CAME_BACK = 8


@dataclass(frozen=True, slots=True)
class SnapshotRecord:
    """head: of whoever keeps the journal; number: of the newest message; memory: the detector's."""

    head: Mapping[str, Any]
    number: int
    snapshot: Snapshot
    memory: DetectorState | None = None


@dataclass(frozen=True, slots=True)
class AudioRecord:
    """is_pcm16: each sample is a whole step of 16 bits, as far as that is known"""

    samples: Samples
    is_pcm16: bool = False


@dataclass(frozen=True, slots=True)
class CommandRecord:
    """A message that is no sound, as it came."""

    text: str


@dataclass(frozen=True, slots=True)
class RefusalRecord:
    """A message that changed nothing."""


@dataclass(frozen=True, slots=True)
class OutputRecord:
    """Messages that went out together, without the sound in them, and why.

    kind: of the event, or REPLY; None for what is not told again when the session is played once more
    conclusion: of an utterance: what its final said, or why it failed
    stable: its words that were shown as stable; sound: the samples that were in the message
    """

    kind: str | None
    messages: Sequence[Mapping[str, Any]] = ()
    utterance: int = 0
    conclusion: RecordedResult | str | None = None
    stable: str = ""
    sound: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class EndRecord:
    """No more sound was taken in."""

    reason: Reason


@dataclass(frozen=True, slots=True)
class TakeoverRecord:
    """Another server goes on with the session from here."""


@dataclass(frozen=True, slots=True)
class ReconnectRecord:
    """The client that had been cut off is there again."""


Record = (
    SnapshotRecord
    | AudioRecord
    | CommandRecord
    | RefusalRecord
    | OutputRecord
    | EndRecord
    | TakeoverRecord
    | ReconnectRecord
)


@dataclass(frozen=True, slots=True)
class _OpenedHead:
    """The part of Opened that is JSON. sound, memory: bytes behind it."""

    head: dict[str, Any]
    number: int
    state: StreamState
    sound: int
    memory: int


@dataclass(frozen=True, slots=True)
class _ToldText:
    """As Told, in JSON."""

    kind: str | None = None
    messages: list[dict[str, Any]] = field(default_factory=list)
    utterance: int = 0
    hypothesis: Hypothesis | None = None
    guard: str | None = None
    failure: str | None = None
    stable: str = ""
    sound: tuple[int, int] | None = None


_OPENED: Final = TypeAdapter(_OpenedHead)
_TOLD: Final = TypeAdapter(_ToldText)


def kind_of(event: Event) -> str:
    """Return the event's kind as journals name it; "" for events that depend on time and are not repeated.

    Events of one kind come in the same order in every replay of a session; a failure takes its final's place.
    """
    return KINDS[type(event)]


def output_record(event: Event, messages: Sequence[Mapping[str, Any]]) -> OutputRecord:
    """Of an event and the messages that tell of it, which may be none."""
    kind = kind_of(event) or None
    silent = [{**message, "audio": None} if "audio" in message else message for message in messages]
    match event:
        case FinalTranscript():
            spoken = any("audio" in message for message in messages)
            sound = (event.clip.start, event.clip.end) if spoken else None
            conclusion = RecordedResult(event.hypothesis, event.guard)
            return OutputRecord(kind, silent, event.utterance, conclusion, sound=sound)
        case TranscriptionFailed():
            return OutputRecord(kind, silent, event.utterance, event.message)
        case PartialTranscript():
            return OutputRecord(kind, silent, event.utterance, stable=event.text[: event.stable_chars])
        case _:
            return OutputRecord(kind, silent)


def quantize_pcm16(samples: Samples) -> AudioRecord:
    """Sound as the nearest that two bytes a sample can say, but for samples that are too loud for them.

    What becomes of a sample hangs on no other: it is the same however the stream is cut.
    """
    steps = np.rint(samples * np.float32(32768)).astype(np.int32)
    pcm = steps.astype("<i2")
    heard: Samples = pcm * np.float32(1 / 32768)
    kept = pcm == steps
    return AudioRecord(heard, True) if kept.all() else AudioRecord(np.where(kept, heard, samples))


def encode_pcm(samples: Samples, is_pcm16: bool = False) -> bytes:
    """float32 (n,) as PCM16 where that is exact, else as float32. is_pcm16: it is known to be exact"""
    scaled = samples * np.float32(32768)
    if is_pcm16:
        known: bytes = PCM16 + scaled.astype("<i2").tobytes()
        return known
    whole = np.rint(scaled)
    if np.array_equal(scaled, whole) and (not len(whole) or (whole.min() >= -32768 and whole.max() <= 32767)):
        data: bytes = PCM16 + whole.astype("<i2").tobytes()
    else:
        data = FLOAT32 + samples.astype("<f4").tobytes()
    return data


def decode_pcm(data: bytes) -> Samples:
    """What `packed` gave. Raises DamagedEntry."""
    code, body = data[:1], data[1:]
    try:
        if code == PCM16:
            return np.frombuffer(body, "<i2").astype(np.float32) / np.float32(32768)
        if code == FLOAT32:
            return np.frombuffer(body, "<f4").astype(np.float32)
    except ValueError as error:
        raise DamagedRecord(str(error)) from None
    raise DamagedRecord(f"samples of kind {code!r}")


def merge_audio(entries: Iterable[Record]) -> Iterator[Record]:
    """The same, but of neighbouring stretches of sound one."""
    for is_sound, run in groupby(entries, lambda entry: isinstance(entry, AudioRecord)):
        if is_sound:
            yield _joined([entry for entry in run if isinstance(entry, AudioRecord)])
        else:
            yield from run


def _joined(sounds: Sequence[AudioRecord]) -> AudioRecord:
    if len(sounds) == 1:
        return sounds[0]
    samples = np.concatenate([sound.samples for sound in sounds])
    return AudioRecord(samples, all(sound.is_pcm16 for sound in sounds))


def encoded(entry: Record) -> bytes:
    """The entry's record."""
    match entry:
        case SnapshotRecord():
            return frame(RecordType.OPENED, _opened(entry))
        case AudioRecord(samples, is_pcm16):
            return frame(RecordType.SOUND, encode_pcm(samples, is_pcm16))
        case CommandRecord(text):
            return frame(RecordType.COMMAND, text.encode())
        case RefusalRecord():
            return frame(RecordType.REFUSED, b"")
        case OutputRecord():
            return frame(RecordType.TOLD, orjson.dumps(_short(_told_text(entry))))
        case EndRecord(reason):
            return frame(RecordType.ENDED, reason.encode())
        case TakeoverRecord():
            return frame(RecordType.TAKEN_UP, b"")
        case ReconnectRecord():
            return frame(RecordType.CAME_BACK, b"")


def decoded(kind: int, payload: bytes) -> Record:
    """The entry of a record. Raises DamagedEntry."""
    try:
        match kind:
            case RecordType.OPENED:
                return _opened_from(payload)
            case RecordType.SOUND:
                return AudioRecord(decode_pcm(payload))
            case RecordType.COMMAND:
                return CommandRecord(payload.decode())
            case RecordType.REFUSED:
                return RefusalRecord()
            case RecordType.TOLD:
                return _told_from(payload)
            case RecordType.ENDED:
                return EndRecord(Reason(payload.decode()))
            case RecordType.TAKEN_UP:
                return TakeoverRecord()
            case RecordType.CAME_BACK:
                return ReconnectRecord()
    except (ValidationError, ValueError) as error:
        raise DamagedRecord(str(error)) from None
    raise DamagedRecord(f"a record of kind {kind}")


def _opened(entry: SnapshotRecord) -> bytes:
    sound = encode_pcm(entry.snapshot.sound)
    memory = b"" if entry.memory is None else entry.memory.astype("<f4").tobytes()
    head = _OpenedHead(dict(entry.head), entry.number, entry.snapshot.state, len(sound), len(memory))
    text: bytes = _OPENED.dump_json(head)
    return b"".join((len(text).to_bytes(4, "little"), text, sound, memory))


def _opened_from(payload: bytes) -> SnapshotRecord:
    first = 4 + int.from_bytes(payload[:4], "little")
    head = _OPENED.validate_json(payload[4:first])
    behind = first + head.sound
    sound = decode_pcm(payload[first:behind])
    if len(sound) != head.state.samples or len(payload) != behind + head.memory or head.sound < 1:
        raise DamagedRecord("the sound of a snapshot is not all there")
    memory = np.frombuffer(payload[behind:], "<f4").astype(np.float32) if head.memory else None
    return SnapshotRecord(head.head, head.number, Snapshot(head.state, sound), memory)


def _told_text(entry: OutputRecord) -> _ToldText:
    said = entry.conclusion if isinstance(entry.conclusion, RecordedResult) else None
    return _ToldText(
        entry.kind,
        [dict(message) for message in entry.messages],
        entry.utterance,
        said.hypothesis if said else None,
        said.guard if said else None,
        entry.conclusion if isinstance(entry.conclusion, str) else None,
        entry.stable,
        entry.sound,
    )


def _short(record: Any) -> dict[str, Any]:
    """The fields of a dataclass that are not at their default."""
    given = ((each, getattr(record, each.name)) for each in fields(record))
    return {
        each.name: _short(value) if isinstance(value, Hypothesis) else value
        for each, value in given
        if value != each.default and value != []
    }


def _told_from(payload: bytes) -> OutputRecord:
    text = _TOLD.validate_json(payload)
    conclusion = None if text.hypothesis is None else RecordedResult(text.hypothesis, text.guard)
    said = text.failure if conclusion is None else conclusion
    return OutputRecord(text.kind, text.messages, text.utterance, said, text.stable, text.sound)
