"""Decode PCM16, float32, mu-law and A-law bytes to float32 samples, however the bytes are cut."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import reduce
from typing import Final

import numpy as np
from numpy.typing import NDArray

from audio.clip import SAMPLE_RATE, Samples
from audio.errors import InvalidAudio, UnsupportedChannels, UnsupportedFormat, UnsupportedSampleRate
from audio.stereo import StereoMixer

MIN_SAMPLE_RATE: Final = 8_000  # Hz
MAX_SAMPLE_RATE: Final = 192_000  # Hz
MAX_CHANNELS: Final = 8


class Format(StrEnum):
    """Name the format of one sample: little endian if it has more than one byte."""

    PCM16 = "pcm16"
    FLOAT32 = "float32"
    PCMU = "pcmu"  # G.711 mu-law
    PCMA = "pcma"  # G.711 A-law


@dataclass(frozen=True, slots=True)
class Encoding:
    """Describe what the bytes of a stream mean. Channels are interleaved.

    The fields may be values of any type from a client's JSON: an Encoding that exists is valid. Raises
    UnsupportedFormat, UnsupportedSampleRate (not a whole number in 8000..192000 Hz) or UnsupportedChannels
    (not a whole number in 1..8). A whole number may be a float; the case of the format does not matter.
    """

    format: Format = Format.PCM16
    sample_rate: int = SAMPLE_RATE
    channels: int = 1

    def __post_init__(self) -> None:
        if type(self.format) is not Format:
            object.__setattr__(self, "format", _format(self.format))
        for name in ("sample_rate", "channels"):
            value = getattr(self, name)
            if type(value) is float and value.is_integer():
                object.__setattr__(self, name, int(value))
        if not _is_int_within(self.sample_rate, MIN_SAMPLE_RATE, MAX_SAMPLE_RATE):
            raise UnsupportedSampleRate(
                f"sample_rate must be a whole number from {MIN_SAMPLE_RATE} to {MAX_SAMPLE_RATE}, "
                f"not {self.sample_rate!r:.40}"
            )
        if not _is_int_within(self.channels, 1, MAX_CHANNELS):
            raise UnsupportedChannels(
                f"channels must be a whole number from 1 to {MAX_CHANNELS}, not {self.channels!r:.40}"
            )

    @property
    def frame_bytes(self) -> int:
        """Bytes of one sample of all channels, the smallest unit that can be decoded."""
        return _SAMPLE_BYTES[self.format] * self.channels


class SampleReader:
    """Convert bytes of one encoding to samples.

    apart: whether the channels are kept apart, not mixed
    carry: bytes of an incomplete frame, which wait for the rest of it
    """

    def __init__(self, encoding: Encoding, *, apart: bool = False) -> None:
        self._channels = encoding.channels
        self._apart = apart
        self._stereo = StereoMixer(encoding.sample_rate) if encoding.channels == 2 and not apart else None
        self._frame_bytes = encoding.frame_bytes
        self._to_samples = _TO_SAMPLES[encoding.format]
        self.carry = b""

    def read(self, data: bytes) -> Samples:
        """Return the frames that are complete, float32 (n,) in [-1, 1]; (n, channels) of channels kept apart.

        Channels that are mixed become their mean; where it would cancel two, one of them (StereoMixer).

        Raises InvalidAudio for NaN and infinity; then the state is as before the call.
        """
        data = self.carry + data
        cut = len(data) - len(data) % self._frame_bytes
        samples = self._to_samples(data[:cut])
        self.carry = data[cut:]
        if self._apart:
            return samples.reshape(-1, self._channels)
        if self._channels == 1:
            return samples
        frames = samples.reshape(-1, self._channels)
        mean = _mix_down(frames)
        return mean if self._stereo is None else self._stereo.mix(frames.T, mean)

    def discard(self) -> int:
        """Drop the bytes of an incomplete frame and return how many there were."""
        leftover, self.carry = len(self.carry), b""
        return leftover


def _format(value: str) -> Format:
    try:
        return Format(value.strip().lower() if isinstance(value, str) else value)
    except ValueError:
        raise UnsupportedFormat(f"format must be one of {', '.join(Format)}, not {value!r:.40}") from None


def _is_int_within(value: object, low: int, high: int) -> bool:
    return type(value) is int and low <= value <= high  # bool is an int to isinstance


def _mix_down(frames: Samples) -> Samples:
    # Added channel by channel: a matrix product may round a frame differently by its place in the chunk, and
    # mean(axis=1) takes twenty times as long.
    total: Samples = reduce(np.add, frames.T)
    return total * np.float32(1 / len(frames.T))


# G.711 (11/88), tables 1 and 2: sign, 3 bits of exponent, 4 of mantissa. Levels are scaled to 16 bits.


def _pcmu_table() -> Samples:
    code = ~np.arange(256, dtype=np.uint8)  # sent inverted
    exponent, mantissa = (code >> 4 & 7).astype(np.int32), (code & 15).astype(np.int32)
    magnitude = ((2 * mantissa + 33 << exponent) - 33) * 4  # 14 bits
    return _signed(magnitude, negative=code >= 128)


def _pcma_table() -> Samples:
    code = np.arange(256, dtype=np.uint8) ^ 0x55  # sent with the even bits inverted
    exponent, mantissa = (code >> 4 & 7).astype(np.int32), (code & 15).astype(np.int32)
    linear = 2 * mantissa + 1  # the lowest segment, exponent 0, has no implied leading one
    magnitude = np.where(exponent == 0, linear, linear + 32 << np.maximum(exponent - 1, 0)) * 8  # 13 bits
    return _signed(magnitude, negative=code < 128)


def _signed(magnitude: NDArray[np.int32], negative: NDArray[np.bool_]) -> Samples:
    return np.where(negative, -magnitude, magnitude).astype(np.float32) / np.float32(32768)


_PCMU: Final = _pcmu_table()
_PCMA: Final = _pcma_table()
PCM16: Final = np.dtype("<i2")
_FLOAT32: Final = np.dtype("<f4")
_UINT8: Final = np.dtype(np.uint8)
PCM16_STEP: Final = np.float32(1 / 32768)


def _from_pcm16(data: bytes) -> Samples:
    return np.frombuffer(data, PCM16) * PCM16_STEP


def _from_float32(data: bytes) -> Samples:
    """Clip to [-1, 1] as a sound card does: one finite 1e38 would corrupt the state of a network."""
    samples = np.frombuffer(data, _FLOAT32)
    if not np.isfinite(samples).all():
        raise InvalidAudio("audio holds NaN or infinity")
    return samples.clip(-1, 1)


def _from_pcmu(data: bytes) -> Samples:
    return _PCMU.take(np.frombuffer(data, _UINT8))


def _from_pcma(data: bytes) -> Samples:
    return _PCMA.take(np.frombuffer(data, _UINT8))


_SAMPLE_BYTES: Final = {Format.PCM16: 2, Format.FLOAT32: 4, Format.PCMU: 1, Format.PCMA: 1}
_TO_SAMPLES: Final[dict[Format, Callable[[bytes], Samples]]] = {
    Format.PCM16: _from_pcm16,
    Format.FLOAT32: _from_float32,
    Format.PCMU: _from_pcmu,
    Format.PCMA: _from_pcma,
}
