"""Read audio files as PCM16: wav files by themselves, all others with PyAV where it is installed."""

import wave
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from client.errors import AudioInputError

WIDTH = 2  # bytes of a PCM16 sample


@dataclass(frozen=True, slots=True)
class PcmAudio:
    """Hold the audio of a file.

    pcm: little-endian PCM16, channels interleaved
    sample_rate: in Hz
    """

    pcm: bytes
    sample_rate: int
    channels: int = 1

    @property
    def frame_bytes(self) -> int:
        """Return the bytes of a sample of all channels."""
        return WIDTH * self.channels

    @property
    def seconds(self) -> float:
        """Return the length in seconds."""
        return len(self.pcm) / self.frame_bytes / self.sample_rate

    def chunks(self, ms: int) -> Iterator[bytes]:
        """Return the audio in chunks of `ms` milliseconds; the last one may be shorter."""
        step = self.sample_rate * ms // 1000 * self.frame_bytes
        return (self.pcm[start : start + step] for start in range(0, len(self.pcm), step))


def read_audio(path: Path, *, apart: bool = False) -> PcmAudio:
    """Read an audio or video file of any format; all but wav files of PCM need the package av.

    apart: whether its channels are kept apart, not mixed
    Raises AudioInputError.
    """
    try:
        return read_wav(path, apart=apart)
    except (EOFError, wave.Error) as error:
        try:
            import av
        except ImportError:
            raise AudioInputError(
                f"{path} is not a wav file of plain PCM ({error}); install the package av, "
                f"or convert it first, for example: ffmpeg -i {path} -c:a pcm_s16le out.wav"
            ) from error
        try:
            return _decoded(path, apart)
        except (av.error.FFmpegError, IndexError, ValueError) as fault:
            raise AudioInputError(f"{path} contains no audio that can be read ({fault})") from fault


def read_wav(path: Path, *, apart: bool = False) -> PcmAudio:
    """Read a PCM wav file of 8, 16, 24 or 32 bits and any number of channels.

    apart: whether the channels are kept apart, not mixed
    Raises AudioInputError if the file cannot be opened, and EOFError and wave.Error if it is no such file.
    """
    try:
        with wave.open(str(path), "rb") as file:
            raw = file.readframes(file.getnframes())
            width, channels, rate = file.getsampwidth(), file.getnchannels(), file.getframerate()
    except FileNotFoundError:
        raise AudioInputError(f"there is no file {path}") from None
    except OSError as error:
        raise AudioInputError(f"{path} cannot be read: {error}") from error
    pcm = to_pcm16(raw, width)
    return PcmAudio(pcm, rate, channels) if apart else PcmAudio(mix_down(pcm, channels), rate)


def _decoded(path: Path, apart: bool) -> PcmAudio:
    import av

    pcm = bytearray()
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        channels = stream.channels if apart else 1
        resampler = av.AudioResampler(format="s16", layout=stream.layout if apart else "mono")
        for frame in (*container.decode(stream), None):  # None: what the resampler still holds
            for piece in resampler.resample(frame):
                pcm += bytes(piece.planes[0])[: piece.samples * WIDTH * channels]
        return PcmAudio(bytes(pcm), stream.rate, channels)


def to_pcm16(raw: bytes, width: int) -> bytes:
    """Truncate little-endian samples of `width` bytes to PCM16; one-byte samples are unsigned."""
    whole = len(raw) // width * width
    raw = raw[:whole]
    if width == WIDTH:
        return raw
    pcm = bytearray(whole // width * WIDTH)
    if width == 1:
        pcm[1::WIDTH] = bytes(byte ^ 0x80 for byte in raw)
    else:
        pcm[0::WIDTH] = raw[width - 2 :: width]
        pcm[1::WIDTH] = raw[width - 1 :: width]
    return bytes(pcm)


def mix_down(pcm: bytes, channels: int) -> bytes:
    """Return the mean of the channels of interleaved PCM16."""
    if channels == 1:
        return pcm
    whole = len(pcm) // (WIDTH * channels) * WIDTH * channels
    samples = _little_endian(array("h", pcm[:whole]))
    tracks = [samples[channel::channels] for channel in range(channels)]
    mixed = array("h", (sum(frame) // channels for frame in zip(*tracks, strict=True)))
    return _little_endian(mixed).tobytes()


def _little_endian(samples: "array[int]") -> "array[int]":
    """Swap the bytes on a big-endian machine, where array and wav differ."""
    if array("h", b"\x01\x00")[0] != 1:
        samples.byteswap()
    return samples
