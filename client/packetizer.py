"""Cut audio into packets that end at whole milliseconds, so that positions in a stream are integers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

Format = Literal["pcm16", "pcmu", "pcma", "float32"]

WIDTHS: Final[Mapping[object, int]] = {"pcm16": 2, "pcmu": 1, "pcma": 1, "float32": 4}  # Bytes per sample.
MIN_RATE, MAX_RATE = 8_000, 192_000  # Hz
MAX_CHANNELS: Final = 8
MAX_PACKET: Final = 1 << 16  # bytes


@dataclass(frozen=True, slots=True)
class SampleFormat:
    """Describe the encoding of audio bytes.

    sample_rate: in Hz
    channels: number of interleaved channels
    """

    format: str = "pcm16"
    sample_rate: int = 16_000
    channels: int = 1

    @property
    def frame_bytes(self) -> int:
        """Return the bytes of one frame, which has a sample for each channel."""
        return WIDTHS[self.format] * self.channels

    def bytes_of(self, ms: int) -> int:
        """Return the bytes of the frames that begin within the first `ms` milliseconds."""
        return -(-ms * self.sample_rate // 1000) * self.frame_bytes

    def ms_of(self, size: int) -> int:
        """Return the complete milliseconds in `size` bytes."""
        return size // self.frame_bytes * 1000 // self.sample_rate

    def changed(self, settings: Mapping[str, object]) -> "SampleFormat":
        """Return the encoding after a `session.update`; an update with a bad value changes nothing."""
        form = settings.get("format", self.format)
        rate = settings.get("sample_rate", self.sample_rate)
        channels = settings.get("channels", self.channels)
        if not isinstance(form, str) or not isinstance(rate, int) or not isinstance(channels, int):
            return self
        if form not in WIDTHS or not MIN_RATE <= rate <= MAX_RATE or not 1 <= channels <= MAX_CHANNELS:
            return self
        return SampleFormat(form, rate, channels)


@dataclass(frozen=True, slots=True)
class Packet:
    """Hold the audio of a stream from start_ms to end_ms."""

    audio: bytes
    encoding: SampleFormat
    start_ms: int
    end_ms: int

    @property
    def size(self) -> int:
        """Return the size in bytes."""
        return len(self.audio)

    def after(self, ms: int) -> "Packet":
        """Return the part of the packet after `ms`, a position inside it."""
        skipped = self.encoding.bytes_of(ms - self.start_ms)
        return Packet(self.audio[skipped:], self.encoding, ms, self.end_ms)


class Packetizer:
    """Cut audio into packets; `position` is the start of the next packet in ms.

    A packet has at most MAX_PACKET bytes and only whole frames. A rest of less than a millisecond is held
    back until more audio comes or the encoding ends; then it counts as a whole millisecond.
    """

    def __init__(self, encoding: SampleFormat) -> None:
        self.encoding = encoding
        self.position = 0
        self._origin = 0  # The position at which this encoding begins.
        self._held = bytearray()

    def push(self, audio: bytes) -> list[Packet]:
        """Add audio and return the complete packets."""
        self._held += audio
        longest = max(1, MAX_PACKET // self.encoding.bytes_of(1))
        packets = []
        while ms := min(self._complete(), longest):
            packets.append(self._cut(ms))
        return packets

    def change(self, encoding: SampleFormat) -> list[Packet]:
        """Change the encoding; return what was held back if the encoding differs."""
        if encoding == self.encoding:
            return []
        rest = self.flush()
        self.encoding, self._origin = encoding, self.position
        return rest

    def flush(self) -> list[Packet]:
        """Return what is held back, even if it is not a whole frame."""
        if not self._held:
            return []
        packet = Packet(bytes(self._held), self.encoding, self.position, self.position + 1)
        self._held.clear()
        self.position += 1
        return [packet]

    def _complete(self) -> int:
        """Return the milliseconds that can be cut off."""
        cut_off = self.position - self._origin
        return self.encoding.ms_of(self.encoding.bytes_of(cut_off) + len(self._held)) - cut_off

    def _cut(self, ms: int) -> Packet:
        begin, end = self.position - self._origin, self.position + ms - self._origin
        size = self.encoding.bytes_of(end) - self.encoding.bytes_of(begin)
        packet = Packet(bytes(self._held[:size]), self.encoding, self.position, self.position + ms)
        del self._held[:size]
        self.position += ms
        return packet
