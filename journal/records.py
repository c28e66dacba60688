"""Define the records of a journal file, and encode and decode them.

The records of a session stand in the order in which they occurred. They hold all that a replay needs, and the
messages that were sent. A SnapshotRecord begins a file. AudioRecord and CommandRecord are input from the
client; OutputRecord is output to it.
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
    SpeakersRevised,
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
NAMED: Final = "Named"  # the clips of known speakers of one message were read
CLOSED: Final = "Closed"
# Names on disk. They stay when a class gets another name: a journal may be older than the server.
KINDS: Final[Mapping[type[Event], str]] = {
    UtteranceStarted: "SpeechStarted",
    UtteranceEnded: "SpeechStopped",
    FinalTranscript: "Final",
    TranscriptionFailed: "Final",
    SpeakersRevised: "SpeakersRevised",
    AudioCleared: "Cleared",
    MarkerReached: "MarkerReached",
    StreamClosed: CLOSED,
}
PCM16: Final = b"\0"
FLOAT32: Final = b"\1"


class DamagedRecord(ValueError):
    """Report an intact frame whose payload is not a record, for example of another version."""


class RecordType(IntEnum):
    """Number the types of records on disk. A number is never reused for another type."""

    SNAPSHOT = 1
    AUDIO = 2
    COMMAND = 3
    REFUSAL = 4
    OUTPUT = 5
    END = 6
    TAKEOVER = 7
    RECONNECT = 8
    NO_AUDIO = 9


@dataclass(frozen=True, slots=True)
class SnapshotRecord:
    """Hold the state of a session at the beginning of a file.

    head: data of the protocol; the journal does not interpret it
    number: sequence number of the newest message
    detector_state: state of the voice detector, if it has one
    """

    head: Mapping[str, Any]
    number: int
    snapshot: Snapshot
    detector_state: DetectorState | None = None


@dataclass(frozen=True, slots=True)
class AudioRecord:
    """Hold audio that was received: float32 (n,) at 16 kHz.

    is_pcm16: the samples are known to be exact 16-bit values; False if that is not known
    """

    samples: Samples
    is_pcm16: bool = False


@dataclass(frozen=True, slots=True)
class CommandRecord:
    """Hold a message that is not audio, as it was received."""

    text: str


@dataclass(frozen=True, slots=True)
class RefusalRecord:
    """Count a message that was refused and changed nothing."""


@dataclass(frozen=True, slots=True)
class OutputRecord:
    """Hold messages that were sent together, without the audio in them, and their cause.

    kind: kind of the event, or REPLY or NAMED; None for messages that a replay does not produce again
    result: result of an utterance: the result in its final, or the reason of its failure
    stable: words of the utterance that were sent as stable
    sound: samples [start, end) that the message contained as audio
    """

    kind: str | None
    messages: Sequence[Mapping[str, Any]] = ()
    utterance: int = 0
    result: RecordedResult | str | None = None
    stable: str = ""
    sound: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class EndRecord:
    """Mark the end of the audio input."""

    reason: Reason


@dataclass(frozen=True, slots=True)
class NoAudioRecord:
    """Mark that no audio came for a while, which ends an open utterance at this place."""


@dataclass(frozen=True, slots=True)
class TakeoverRecord:
    """Mark that another server continued the session."""


@dataclass(frozen=True, slots=True)
class ReconnectRecord:
    """Mark that the disconnected client reconnected."""


InputRecord = AudioRecord | CommandRecord | EndRecord | NoAudioRecord  # what a replay applies again
Record = (
    SnapshotRecord
    | AudioRecord
    | CommandRecord
    | RefusalRecord
    | OutputRecord
    | EndRecord
    | NoAudioRecord
    | TakeoverRecord
    | ReconnectRecord
)


@dataclass(frozen=True, slots=True)
class _SnapshotHead:
    """Hold the JSON part of a SnapshotRecord; `sound` and `memory` are byte counts of the parts after it."""

    head: dict[str, Any]
    number: int
    state: StreamState
    sound: int
    memory: int


@dataclass(frozen=True, slots=True)
class _OutputJson:
    """Hold the JSON form of an OutputRecord. The names of the fields are part of the file format."""

    kind: str | None = None
    messages: list[dict[str, Any]] = field(default_factory=list)
    utterance: int = 0
    hypothesis: Hypothesis | None = None
    guard: str | None = None
    failure: str | None = None
    stable: str = ""
    sound: tuple[int, int] | None = None


_SNAPSHOT: Final = TypeAdapter(_SnapshotHead)
_OUTPUT: Final = TypeAdapter(_OutputJson)


def kind_of(event: Event) -> str:
    """Return the kind of an event, which its records keep on disk, or "" for an event that depends on time.

    A replay produces the events of a kind in the same order each time. A failure has the kind of a final,
    because a replay may produce either. Events that depend on time are not produced again.
    """
    match event:
        case PartialTranscript() | NoteReached() | LagReported():
            return ""
        case _:
            return KINDS[type(event)]


def output_record(event: Event, messages: Sequence[Mapping[str, Any]]) -> OutputRecord:
    """Return the record of an event and of the messages that were sent for it, if any."""
    kind = kind_of(event) or None
    without_audio = [{**message, "audio": None} if "audio" in message else message for message in messages]
    match event:
        case FinalTranscript():
            has_audio = any("audio" in message for message in messages)
            sound = (event.clip.start, event.clip.end) if has_audio else None
            result = RecordedResult(event.hypothesis, event.guard)
            return OutputRecord(kind, without_audio, event.utterance, result, sound=sound)
        case TranscriptionFailed():
            return OutputRecord(kind, without_audio, event.utterance, event.message)
        case PartialTranscript():
            return OutputRecord(kind, without_audio, event.utterance, stable=event.text[: event.stable_chars])
        case _:
            return OutputRecord(kind, without_audio)


def quantize_pcm16(samples: Samples) -> AudioRecord:
    """Round samples to the nearest 16-bit value, except those outside of the range of 16 bits.

    samples: float32 (n,). Each sample is rounded by itself, so the result does not depend on the chunks.
    """
    steps = np.rint(samples * np.float32(32768)).astype(np.int32)
    pcm = steps.astype("<i2")
    rounded: Samples = pcm * np.float32(1 / 32768)
    fits = pcm == steps
    return AudioRecord(rounded, True) if fits.all() else AudioRecord(np.where(fits, rounded, samples))


def encode_pcm(samples: Samples, is_pcm16: bool = False) -> bytes:
    """Encode float32 (n,) as PCM16 if that is exact, else as float32, after a byte that says which.

    is_pcm16: PCM16 is known to be exact
    """
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
    """Decode what encode_pcm returned. Raises DamagedRecord."""
    code, body = data[:1], data[1:]
    try:
        if code == PCM16:
            return np.frombuffer(body, "<i2").astype(np.float32) / np.float32(32768)
        if code == FLOAT32:
            return np.frombuffer(body, "<f4").astype(np.float32)
    except ValueError as error:
        raise DamagedRecord(str(error)) from None
    raise DamagedRecord(f"unknown encoding of samples: {code!r}")


def merge_audio(records: Iterable[Record]) -> Iterator[Record]:
    """Yield the records with adjacent AudioRecords joined into one."""
    for is_audio, run in groupby(records, lambda record: isinstance(record, AudioRecord)):
        if is_audio:
            yield _joined([record for record in run if isinstance(record, AudioRecord)])
        else:
            yield from run


def _joined(sounds: Sequence[AudioRecord]) -> AudioRecord:
    if len(sounds) == 1:
        return sounds[0]
    samples = np.concatenate([sound.samples for sound in sounds])
    return AudioRecord(samples, all(sound.is_pcm16 for sound in sounds))


def encode_record(entry: Record) -> bytes:
    """Return the frame of a record."""
    match entry:
        case SnapshotRecord():
            return frame(RecordType.SNAPSHOT, _encode_snapshot(entry))
        case AudioRecord(samples, is_pcm16):
            return frame(RecordType.AUDIO, encode_pcm(samples, is_pcm16))
        case CommandRecord(text):
            return frame(RecordType.COMMAND, text.encode())
        case RefusalRecord():
            return frame(RecordType.REFUSAL, b"")
        case OutputRecord():
            return frame(RecordType.OUTPUT, orjson.dumps(_without_defaults(_output_json(entry))))
        case EndRecord(reason):
            return frame(RecordType.END, reason.encode())
        case NoAudioRecord():
            return frame(RecordType.NO_AUDIO, b"")
        case TakeoverRecord():
            return frame(RecordType.TAKEOVER, b"")
        case ReconnectRecord():
            return frame(RecordType.RECONNECT, b"")


def decode_record(kind: int, payload: bytes) -> Record:
    """Return the record of a frame's kind and payload. Raises DamagedRecord."""
    try:
        match kind:
            case RecordType.SNAPSHOT:
                return _decode_snapshot(payload)
            case RecordType.AUDIO:
                return AudioRecord(decode_pcm(payload))
            case RecordType.COMMAND:
                return CommandRecord(payload.decode())
            case RecordType.REFUSAL:
                return RefusalRecord()
            case RecordType.OUTPUT:
                return _decode_output(payload)
            case RecordType.END:
                return EndRecord(Reason(payload.decode()))
            case RecordType.NO_AUDIO:
                return NoAudioRecord()
            case RecordType.TAKEOVER:
                return TakeoverRecord()
            case RecordType.RECONNECT:
                return ReconnectRecord()
    except (ValidationError, ValueError) as error:
        raise DamagedRecord(str(error)) from None
    raise DamagedRecord(f"unknown record type: {kind}")


def _encode_snapshot(entry: SnapshotRecord) -> bytes:
    sound = encode_pcm(entry.snapshot.sound)
    state = b"" if entry.detector_state is None else entry.detector_state.astype("<f4").tobytes()
    head = _SnapshotHead(dict(entry.head), entry.number, entry.snapshot.state, len(sound), len(state))
    text: bytes = _SNAPSHOT.dump_json(head)
    return b"".join((len(text).to_bytes(4, "little"), text, sound, state))


def _decode_snapshot(payload: bytes) -> SnapshotRecord:
    first = 4 + int.from_bytes(payload[:4], "little")
    head = _SNAPSHOT.validate_json(payload[4:first])
    behind = first + head.sound
    sound = decode_pcm(payload[first:behind])
    if len(sound) != head.state.samples or len(payload) != behind + head.memory or head.sound < 1:
        raise DamagedRecord("the audio of a snapshot is incomplete")
    state = np.frombuffer(payload[behind:], "<f4").astype(np.float32) if head.memory else None
    return SnapshotRecord(head.head, head.number, Snapshot(head.state, sound), state)


def _output_json(entry: OutputRecord) -> _OutputJson:
    result = entry.result if isinstance(entry.result, RecordedResult) else None
    return _OutputJson(
        entry.kind,
        [dict(message) for message in entry.messages],
        entry.utterance,
        result.hypothesis if result else None,
        result.guard if result else None,
        entry.result if isinstance(entry.result, str) else None,
        entry.stable,
        entry.sound,
    )


def _without_defaults(record: Any) -> dict[str, Any]:
    """Return the fields of a dataclass that do not have their default value."""
    given = ((each, getattr(record, each.name)) for each in fields(record))
    return {
        each.name: _without_defaults(value) if isinstance(value, Hypothesis) else value
        for each, value in given
        if value != each.default and value != []
    }


def _decode_output(payload: bytes) -> OutputRecord:
    text = _OUTPUT.validate_json(payload)
    result = text.failure if text.hypothesis is None else RecordedResult(text.hypothesis, text.guard)
    return OutputRecord(text.kind, text.messages, text.utterance, result, text.stable, text.sound)
