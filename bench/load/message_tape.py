"""Join utterances and gaps into a loop of encoded messages with known times of speech."""

import base64
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from bench.accuracy.audio_io import Samples
from bench.load.fast_ws_client import Opcode, decode, encode

FADE_MS: Final = 5  # avoids clicks at the cuts
NOISE: Final = 10 ** (-65 / 20)  # RMS; digital silence would be easier than real silence


@dataclass(frozen=True, slots=True)
class Label:
    """Hold the true start and end of an utterance, in ms.

    first_word_ms: start of its first word, which may follow a breath; None if it is unknown
    """

    start_ms: float
    end_ms: float
    first_word_ms: float | None = None

    def shifted(self, ms: float) -> "Label":
        """Return the label of the same utterance `ms` later."""
        first = None if self.first_word_ms is None else self.first_word_ms + ms
        return Label(self.start_ms + ms, self.end_ms + ms, first)


@dataclass(frozen=True, slots=True)
class Tape:
    """Hold a loop of messages.

    frames: one encoded message per chunk; labels: the utterances in the loop, none of which crosses its end
    """

    frames: tuple[bytes, ...]
    labels: tuple[Label, ...]
    chunk_ms: int

    @property
    def ms(self) -> int:
        """The length of the loop in ms."""
        return len(self.frames) * self.chunk_ms

    @property
    def speech_share(self) -> float:
        """The fraction of the loop that is speech."""
        return sum(label.end_ms - label.start_ms for label in self.labels) / self.ms

    def utterances(self, first: int, count: int) -> Iterator[tuple[Label, bool]]:
        """Yield the utterances of a stream of `count` frames that begins at frame `first`.

        Times are those of the stream. The second value says whether the stream contains the whole utterance.
        """
        end = count * self.chunk_ms
        shift = -first * self.chunk_ms
        while shift < end:
            for label in self.labels:
                here = label.shifted(shift)
                if here.end_ms > 0 and here.start_ms < end:
                    yield here, here.start_ms >= 0 and here.end_ms <= end
            shift += self.ms


def record_tape(
    utterances: Sequence[Samples],
    rng: np.random.Generator,
    *,
    first_words_ms: Sequence[float | None] = (),
    rate: int,
    chunk_ms: int,
    gap_ms: tuple[float, float],
    binary: bool,
) -> Tape:
    """Make a tape of the utterances, each followed by a gap of random length.

    The last gap is extended to fill the last chunk.

    utterances: trimmed float32 samples of shape (n,) at `rate` Hz; gap_ms: least and greatest gap
    first_words_ms: where the first word of each utterance begins; empty if it is not known of any
    binary: whether messages are binary frames rather than base64 in JSON
    """
    pieces: list[Samples] = []
    labels: list[Label] = []
    position = 0  # samples
    for utterance, first_word_ms in zip(utterances, first_words_ms or [None] * len(utterances), strict=True):
        label = Label(0.0, len(utterance) * 1000 / rate, first_word_ms)
        labels.append(label.shifted(position * 1000 / rate))
        gap = round(rng.uniform(*gap_ms) * rate / 1000)
        pieces += [_faded(utterance, rate), np.zeros(gap, np.float32)]
        position += len(utterance) + gap
    chunk = rate * chunk_ms // 1000
    pieces.append(np.zeros(-position % chunk, np.float32))
    samples = np.concatenate(pieces)
    samples += rng.standard_normal(len(samples), dtype=np.float32) * np.float32(NOISE)
    chunks = samples.reshape(-1, chunk)
    return Tape(tuple(frame_of(row, rate, binary) for row in chunks), tuple(labels), chunk_ms)


def _faded(utterance: Samples, rate: int) -> Samples:
    fade = min(rate * FADE_MS // 1000, len(utterance) // 2)
    envelope = np.ones(len(utterance), np.float32)
    ramp = np.linspace(0, 1, fade, endpoint=False, dtype=np.float32)
    envelope[:fade] = ramp
    envelope[len(utterance) - fade :] = ramp[::-1]
    return utterance * envelope


def frame_of(samples: Samples, rate: int, binary: bool) -> bytes:
    """Encode the samples as PCM16 in one message."""
    pcm = np.clip(np.rint(samples * 32768), -32768, 32767).astype("<i2").tobytes()
    if binary:
        return encode(Opcode.BINARY, pcm)
    message = {
        "type": "input_audio_buffer.append",
        "audio": base64.b64encode(pcm).decode(),
        "sample_rate": rate,
    }
    return encode(Opcode.TEXT, json.dumps(message).encode())


def samples_of(frame: bytes) -> Samples:
    """Return the audio of a binary frame of a tape as float32 samples of shape (n,)."""
    return np.frombuffer(decode(frame), "<i2").astype(np.float32) / np.float32(32768)
