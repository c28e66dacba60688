"""Measure what typed messages cost: python -m bench.load.message_codec.

Compares plain dicts, dataclasses, pydantic and msgspec (if it is installed; it is not a dependency) for the
two messages that matter: an append with 100 ms of audio coming in, and a final going out. Prints the median
CPU time of ROUNDS rounds in µs per message. Decision 0015 holds the table.
"""

import importlib
import json
import statistics
import time
from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Final, Literal, TypedDict

import orjson
import pybase64
from pydantic import BaseModel, TypeAdapter

from server.protocols.json_messages import audio_of, object_from_json

ROUNDS: Final = 41
MESSAGES_PER_ROUND: Final = 2_000
APPEND: Final = json.dumps(
    {"type": "input_audio_buffer.append", "audio": b64encode(bytes(range(256)) * 12 + bytes(128)).decode()}
)
FINAL: Final[dict[str, Any]] = {
    "type": "response.audio_transcript.done",
    "transcript": "the quick brown fox jumps over the lazy dog",
    "sample_rate": 16_000,
    "item_id": "item_5f1c_2",
    "previous_item_id": "item_5f1c_1",
    "response_id": "resp_5f1c_2",
    "output_index": 0,
    "content_index": 0,
    "start_ms": 1_000,
    "end_ms": 4_100,
    "language": "en",
    "language_probability": 0.98,
    "confidence": 0.9,
    "reason": "silence",
    "guard": None,
    "ignored": [],
    "seq": 7,
    "event_id": "event_5f1c_7",
}


class FinalDict(TypedDict):
    """The final as a TypedDict: a plain dict when it runs, checked by mypy."""

    type: Literal["response.audio_transcript.done"]
    transcript: str
    sample_rate: int
    item_id: str | None
    previous_item_id: str | None
    response_id: str
    output_index: int
    content_index: int
    start_ms: int
    end_ms: int
    language: str | None
    language_probability: float | None
    confidence: float | None
    reason: str
    guard: str | None
    ignored: list[str]
    seq: int
    event_id: str


@dataclass(frozen=True, slots=True)
class FinalDataclass:
    """The final as a frozen dataclass, which orjson serializes itself."""

    type: str
    transcript: str
    sample_rate: int
    item_id: str | None
    previous_item_id: str | None
    response_id: str
    output_index: int
    content_index: int
    start_ms: int
    end_ms: int
    language: str | None
    language_probability: float | None
    confidence: float | None
    reason: str
    guard: str | None
    ignored: list[str]
    seq: int
    event_id: str


class FinalModel(BaseModel):
    """The final as a pydantic model."""

    type: str
    transcript: str
    sample_rate: int
    item_id: str | None
    previous_item_id: str | None
    response_id: str
    output_index: int
    content_index: int
    start_ms: int
    end_ms: int
    language: str | None
    language_probability: float | None
    confidence: float | None
    reason: str
    guard: str | None
    ignored: list[str]
    seq: int
    event_id: str


class AppendModel(BaseModel):
    """The append as a pydantic model."""

    type: Literal["input_audio_buffer.append"]
    audio: str


@dataclass(frozen=True, slots=True)
class AppendDataclass:
    """The append as a frozen dataclass, made of the parsed dict."""

    audio: bytes


def decoders() -> Iterator[tuple[str, Callable[[], object]]]:
    """Yield ways to read the append, each up to the bytes of its audio."""
    model = TypeAdapter(AppendModel)
    yield "dict, orjson", lambda: audio_of(object_from_json(APPEND))
    yield "frozen dataclass, orjson", lambda: AppendDataclass(audio_of(object_from_json(APPEND)))
    yield "pydantic", lambda: pybase64.b64decode(model.validate_json(APPEND).audio, validate=True)
    if (msgspec := msgspec_or_none()) is not None:
        fields = [("audio", str)]
        struct = msgspec.defstruct("Append", fields, tag_field="type", tag="input_audio_buffer.append")
        decoder = msgspec.json.Decoder(struct)
        yield "msgspec Struct", lambda: pybase64.b64decode(decoder.decode(APPEND).audio, validate=True)


def encoders() -> Iterator[tuple[str, Callable[[], bytes]]]:
    """Yield ways to make the final and to write it as JSON."""
    yield "dict, orjson", lambda: orjson.dumps({**FINAL})
    yield "TypedDict, orjson", lambda: orjson.dumps(FinalDict(**FINAL))  # type: ignore[typeddict-item]
    yield "frozen dataclass, orjson", lambda: orjson.dumps(FinalDataclass(**FINAL))
    yield "pydantic", lambda: FinalModel(**FINAL).model_dump_json().encode()
    if (msgspec := msgspec_or_none()) is not None:
        struct = msgspec.defstruct("Final", list(FinalDataclass.__annotations__.items()), frozen=True)
        encoder = msgspec.json.Encoder()
        yield "msgspec Struct", lambda: encoder.encode(struct(**FINAL))


def msgspec_or_none() -> ModuleType | None:
    """Return msgspec if it is installed."""
    try:
        return importlib.import_module("msgspec")
    except ImportError:
        return None


def microseconds(ways: Sequence[Callable[[], object]]) -> list[float]:
    """Return the median CPU time of a call in µs; the ways take turns and share the machine's noise."""
    rounds: list[list[float]] = [[] for _ in ways]
    for _ in range(ROUNDS):
        for way, times in zip(ways, rounds, strict=True):
            began = time.process_time()
            for _ in range(MESSAGES_PER_ROUND):
                way()
            times.append((time.process_time() - began) / MESSAGES_PER_ROUND * 1e6)
    return [statistics.median(times) for times in rounds]


def main() -> None:
    """Print the tables."""
    tables: list[tuple[str, list[tuple[str, Callable[[], object]]]]] = [
        ("append in", list(decoders())),
        ("final out", list(encoders())),
    ]
    for title, ways in tables:
        print(f"| {title} | µs |\n|---|---|")
        for (name, _), time_each in zip(ways, microseconds([way for _, way in ways]), strict=True):
            print(f"| {name} | {time_each:.2f} |")
        print()


if __name__ == "__main__":
    main()
