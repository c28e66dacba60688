"""Packets: sound in messages that end at whole milliseconds: every place in a stream is a whole number."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

Format = Literal["pcm16", "pcmu", "pcma", "float32"]

WIDTHS: Final[Mapping[object, int]] = {"pcm16": 2, "pcmu": 1, "pcma": 1, "float32": 4}  # bytes of a sample
MIN_RATE, MAX_RATE = 8_000, 192_000  # Hz
MAX_CHANNELS: Final = 8
MAX_PACKET: Final = 1 << 16  # bytes


@dataclass(frozen=True, slots=True)
class Encoding:
    """What the bytes of sound mean. sample_rate: Hz; channels are interleaved."""

    format: str = "pcm16"
    sample_rate: int = 16_000
    channels: int = 1

    @property
    def frame_bytes(self) -> int:
        return WIDTHS[self.format] * self.channels

    def bytes_of(self, ms: int) -> int:
        """The frames that begin within the first `ms` milliseconds."""
        return -(-ms * self.sample_rate // 1000) * self.frame_bytes

    def ms_of(self, size: int) -> int:
        """Milliseconds that are complete in so many bytes."""
        return size // self.frame_bytes * 1000 // self.sample_rate

    def changed(self, settings: Mapping[str, object]) -> "Encoding":
        """As the server takes a `session.update`: with a bad value in it, nothing changes."""
        form = settings.get("format", self.format)
        rate = settings.get("sample_rate", self.sample_rate)
        channels = settings.get("channels", self.channels)
        if not isinstance(form, str) or not isinstance(rate, int) or not isinstance(channels, int):
            return self
        if form not in WIDTHS or not MIN_RATE <= rate <= MAX_RATE or not 1 <= channels <= MAX_CHANNELS:
            return self
        return Encoding(form, rate, channels)


@dataclass(frozen=True, slots=True)
class Packet:
    """The sound of a stream from start_ms to end_ms."""

    sound: bytes
    encoding: Encoding
    start_ms: int
    end_ms: int

    @property
    def size(self) -> int:
        return len(self.sound)

    def after(self, ms: int) -> "Packet":
        """What it holds behind a place within it."""
        skipped = self.encoding.bytes_of(ms - self.start_ms)
        return Packet(self.sound[skipped:], self.encoding, ms, self.end_ms)


class Packetizer:
    """Cuts sound that comes in any pieces. `position` in ms is where the next packet begins.

    A packet has at most MAX_PACKET bytes and only whole frames. Less than a millisecond is held back until
    the rest of it comes, or until the end of its encoding: there it counts as a whole one.
    """

    def __init__(self, encoding: Encoding) -> None:
        self.encoding = encoding
        self.position = 0
        self._origin = 0  # where this encoding begins
        self._held = bytearray()

    def push(self, sound: bytes) -> list[Packet]:
        self._held += sound
        longest = max(1, MAX_PACKET // self.encoding.bytes_of(1))
        packets = []
        while ms := min(self._complete(), longest):
            packets.append(self._cut(ms))
        return packets

    def change(self, encoding: Encoding) -> list[Packet]:
        """Returns what was held back, for an encoding that is another one."""
        if encoding == self.encoding:
            return []
        rest = self.flush()
        self.encoding, self._origin = encoding, self.position
        return rest

    def flush(self) -> list[Packet]:
        """What is held back, even if it is no whole frame."""
        if not self._held:
            return []
        packet = Packet(bytes(self._held), self.encoding, self.position, self.position + 1)
        self._held.clear()
        self.position += 1
        return [packet]

    def _complete(self) -> int:
        """Milliseconds that can be cut off."""
        cut_off = self.position - self._origin
        return self.encoding.ms_of(self.encoding.bytes_of(cut_off) + len(self._held)) - cut_off

    def _cut(self, ms: int) -> Packet:
        begin, end = self.position - self._origin, self.position + ms - self._origin
        size = self.encoding.bytes_of(end) - self.encoding.bytes_of(begin)
        packet = Packet(bytes(self._held[:size]), self.encoding, self.position, self.position + ms)
        del self._held[:size]
        self.position += ms
        return packet
