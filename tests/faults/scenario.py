"""Draw the audio, the settings and the commands of one session from its seed."""

import json
from dataclasses import dataclass
from random import Random
from typing import Any
from urllib.parse import urlencode

from audio.codecs import Encoding, Format
from audio.encoder import encode
from tests.faults.random_speech import MS, sound

ALWAYS = ("session.created", "session.closed", "input_audio_buffer.acknowledged")
SPEECH = ("input_audio_buffer.speech_started", "input_audio_buffer.speech_stopped")
# Beyond 10 s a partial covers a part of the utterance. Its stable words may then differ from the final.
MAX_MS_WITH_PARTIALS = 9_500
WEIGHTS = {"marker": 6, "commit": 3, "clear": 1, "update": 3}


@dataclass(frozen=True, slots=True)
class Command:
    """Describe a message without audio that is sent after `at_ms` of audio."""

    at_ms: int
    type: str
    fields: tuple[tuple[str, Any], ...] = ()

    @property
    def id(self) -> Any:
        """The id of a marker."""
        return dict(self.fields).get("id")

    @property
    def text(self) -> str:
        return json.dumps({"type": self.type, **dict(self.fields)})


@dataclass(frozen=True, slots=True)
class Play:
    """Hold what a session sends.

    sound: `ms` whole milliseconds in `encoding`; commands: in the order of their positions
    """

    number: int
    encoding: Encoding
    sound: bytes
    commands: tuple[Command, ...]
    events: tuple[str, ...]
    include_audio: bool
    words: bool

    @property
    def ms_bytes(self) -> int:
        return MS * self.encoding.frame_bytes

    @property
    def ms(self) -> int:
        return len(self.sound) // self.ms_bytes

    @property
    def query(self) -> str:
        """The query of the URL that begins the session."""
        asked = {"events": ",".join(self.events), "format": self.encoding.format.value}
        flags = {"include_audio": self.include_audio, "words": self.words}
        return urlencode(asked | {name: str(flag).lower() for name, flag in flags.items()})

    def between(self, start_ms: int, end_ms: int) -> bytes:
        return self.sound[start_ms * self.ms_bytes : end_ms * self.ms_bytes]


def play(seed: int, number: int) -> Play:
    chance = Random(f"play {seed}/{number}")
    encoding = Encoding(chance.choice(list(Format)))
    samples = sound(chance)
    length = len(samples) // MS
    commands = sorted(_commands(chance, length), key=lambda command: command.at_ms)
    events = [*ALWAYS]
    if chance.random() < 0.5 and length < MAX_MS_WITH_PARTIALS:
        events.append("transcript.partial")
    if chance.random() < 0.5:
        events += SPEECH
    return Play(
        number=number,
        encoding=encoding,
        sound=encode(samples, encoding),
        commands=tuple(commands),
        events=tuple(events),
        include_audio=chance.random() < 0.3,
        words=chance.random() < 0.3,
    )


def _commands(chance: Random, length: int) -> list[Command]:
    first = Command(0, "session.update", (("session", _settings(chance)),))
    kinds = chance.choices(list(WEIGHTS), list(WEIGHTS.values()), k=chance.randint(0, 4))
    return [first, *(_command(chance, kind, n, length) for n, kind in enumerate(kinds))]


def _command(chance: Random, kind: str, number: int, length: int) -> Command:
    at = chance.randint(0, length)
    match kind:
        case "marker":
            return Command(at, "marker", (("id", f"marker {number}"),))
        case "update":
            return Command(at, "session.update", (("session", _settings(chance)),))
        case _:
            return Command(at, f"input_audio_buffer.{kind}")


def _settings(chance: Random) -> dict[str, Any]:
    mode = chance.choices(("fixed", "adaptive", "manual"), (8, 1, 1))[0]
    vad = {"silence_ms": chance.choice((100, 200, 300, 500)), "prefix_ms": chance.choice((0, 150, 300))}
    return {"vad": vad, "turn": {"mode": mode}}
