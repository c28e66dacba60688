"""Files: containers of sound and video to clips at 16 kHz, piece by piece, never a whole file in memory."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import IO, Final

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer
from numpy.typing import NDArray

from audio.clip import SAMPLE_RATE, Clip, Samples, samples_from_ms
from audio.errors import DamagedFile, UnreadableFile, UnsupportedSampleRate
from audio.resampler import Resampler

Source = str | os.PathLike[str] | IO[bytes]

PIECE: Final = SAMPLE_RATE  # samples of a clip, at least; only the last has fewer
MIN_FILE_RATE: Final = 4_000  # Hz
MAX_FILE_RATE: Final = 768_000  # Hz
BEARABLE_LOSS: Final = 0.1  # seconds: encoders have left a last block that decoders refuse

# What FFmpeg may take the bytes for. A playlist or a list of files is none of them: FFmpeg would open
# whatever it names, on our disk and in our network.
FORMATS: Final = (
    *("aac", "ac3", "aiff", "amr", "ape", "asf", "au", "avi", "caf", "eac3", "flac", "flv", "matroska"),
    *("mov", "mp3", "mpeg", "mpegts", "ogg", "tta", "voc", "w64", "wav", "wv"),
)
_OPTIONS: Final = {"format_whitelist": ",".join(FORMATS)}
# Those that say at their beginning how long they are. A wav says it too, but who streams one cannot know.
_DECLARING: Final = frozenset({"flac", "matroska,webm", "mov,mp4,m4a,3gp,3g2,mj2", "mp3"})
_MOST_MISSING: Final = 0.05  # of the declared length, and a second: an encoder's delay, an estimate


@dataclass(frozen=True, slots=True)
class Info:
    """What a file says of its first audio stream; seconds: None where it does not say."""

    seconds: float | None
    codec: str
    sample_rate: int
    channels: int


@dataclass(slots=True)
class _Tally:
    """What became of a stream, in seconds."""

    decoded: float = 0.0
    lost: float = 0.0
    error: str = "it holds no sound"  # the last
    at_end: bool = False

    def lose(self, seconds: float, error: str | None) -> None:
        self.lost += seconds
        self.error = error or self.error


def probe(source: Source) -> Info:
    """Looks at the beginning of a file, and at its end where the container has its length there.

    An open file is read from where it stands, and left somewhere else. Raises UnreadableFile, OSError.
    """
    with _opened(source) as container:
        stream = _audio(container)
        return Info(_length(container, stream), stream.codec_context.name, stream.rate, stream.channels)


def decode_file(source: Source, *, start: float = 0.0, end: float | None = None) -> Iterator[Clip]:
    """The first audio stream of a file as clips of about a second; several channels become their mean.

    start, end: the range wanted, in seconds; positions of the clips count from `start` (what lies before it
        is decoded and dropped, so that it is exact in every container)
    source: a path, or a file that is open for reading bytes; one that cannot seek is no hindrance, except to
        an mp4 with its index at the end

    n frames at one rate become floor(n * 16000 / rate + 1/2) samples. Gaps between a container's timestamps
    are not filled. What cannot be decoded is left out; then, or if the file is much shorter than it says,
    DamagedFile is raised behind the last clip: it is a warning.

    Raises OSError, UnreadableFile, UnsupportedSampleRate (not in 4..768 kHz), DamagedFile while it is
    iterated; ValueError at once if the range is none.
    """
    first, behind = samples_from_ms(start * 1000), None if end is None else samples_from_ms(end * 1000)
    if first < 0 or (behind is not None and behind < first):
        raise ValueError(f"the range from {start} to {end} s is none")
    return _clips(source, first, behind)


def _clips(source: Source, first: int, behind: int | None) -> Iterator[Clip]:
    tally = _Tally()
    with _opened(source) as container:
        stream = _audio(container)
        pieces = _resampled(_frames(container, stream, tally), tally)
        yield from _joined(_within(pieces, first, behind))
        _complain(tally, _promised(container, stream))


def _complain(tally: _Tally, promised: float) -> None:
    if not tally.decoded:
        raise UnreadableFile(f"the file cannot be decoded: {tally.error}")
    if tally.lost >= BEARABLE_LOSS:
        raise DamagedFile(
            f"the file is damaged: {tally.lost:.1f} s of it could not be decoded ({tally.error})"
        )
    if tally.at_end and tally.decoded < promised * (1 - _MOST_MISSING) - 1:
        raise DamagedFile(f"the file is damaged: {tally.decoded:.1f} s are left of its {promised:.1f} s")


@contextmanager
def _opened(source: Source) -> Iterator[InputContainer]:
    """A path is opened here, for FFmpeg would take "http:..." and "concat:..." for one too."""
    path = isinstance(source, str | os.PathLike)
    with open(source, "rb") if path else nullcontext(source) as file:  # type: ignore[arg-type]
        try:
            # Tags in no known encoding are no reason to refuse the sound.
            container = av.open(file, "r", metadata_errors="replace", options=_OPTIONS)
        except (av.FFmpegError, OSError) as error:  # the latter where FFmpeg seeks to before the beginning
            raise UnreadableFile(
                f"the file is no sound or video that can be read: {error.strerror}"
            ) from error
        with container:
            yield container


def _audio(container: InputContainer) -> AudioStream:
    if not container.streams.audio:
        raise UnreadableFile("the file holds no audio stream")
    return container.streams.audio[0]


def _length(container: InputContainer, stream: AudioStream) -> float | None:
    """Seconds, as far as the container knows: of its video where it does not say it of the sound."""
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    return container.duration / av.time_base if container.duration else None


def _promised(container: InputContainer, stream: AudioStream) -> float:
    """Seconds of sound that must be there; 0 if the container gives no word that can be relied on."""
    if container.format.name not in _DECLARING or (stream.duration is None and container.streams.video):
        return 0
    return _length(container, stream) or 0


def _frames(container: InputContainer, stream: AudioStream, tally: _Tally) -> Iterator[AudioFrame]:
    try:
        for packet in container.demux(stream):
            try:
                frames = packet.decode()
            except av.FFmpegError as error:  # the next one may be whole
                length = packet.duration and packet.time_base and float(packet.duration * packet.time_base)
                tally.lose(length or BEARABLE_LOSS, error.strerror)
                continue
            yield from frames
    except av.FFmpegError as error:
        tally.lose(BEARABLE_LOSS, error.strerror)
    tally.at_end = True


def _resampled(frames: Iterator[AudioFrame], tally: _Tally) -> Iterator[Samples]:
    """float32 (n,) at 16 kHz. Where the rate changes, a new stretch begins: nothing is lost."""
    rate, resampler = SAMPLE_RATE, Resampler(SAMPLE_RATE)
    for frame in frames:
        samples = _mono(frame)
        if not np.isfinite(samples).all():  # garbage may decode to it
            tally.lose(frame.samples / frame.sample_rate, "NaN or infinity")
            continue
        if frame.sample_rate != rate:
            yield resampler.flush()
            rate, resampler = frame.sample_rate, _resampler(frame.sample_rate)
        tally.decoded += len(samples) / rate
        yield resampler.resample(samples.clip(-1, 1))
    yield resampler.flush()


def _resampler(rate: int) -> Resampler:
    if not MIN_FILE_RATE <= rate <= MAX_FILE_RATE:
        raise UnsupportedSampleRate(f"a file at {rate} Hz cannot be read: {MIN_FILE_RATE} to {MAX_FILE_RATE}")
    return Resampler(rate)


def _mono(frame: AudioFrame) -> Samples:
    """float32 (n,), full scale is [-1, 1]."""
    data = frame.to_ndarray()
    channels = data if frame.format.is_planar else data.reshape(-1, len(frame.layout.channels)).T
    mono: NDArray[np.float64] = channels.mean(axis=0, dtype=np.float64)
    if data.dtype == np.uint8:
        mono -= 128  # the middle
    if data.dtype.kind in "iu":
        mono /= 2.0 ** (8 * data.itemsize - 1)
    return mono.astype(np.float32)


def _within(pieces: Iterator[Samples], first: int, behind: int | None) -> Iterator[Samples]:
    """The samples [first, behind) of all; no more is asked for than that takes."""
    position = 0
    for piece in pieces:
        start, position = position, position + len(piece)
        yield piece[max(first - start, 0) : None if behind is None else max(behind - start, 0)]
        if behind is not None and position >= behind:
            return


def _joined(pieces: Iterator[Samples]) -> Iterator[Clip]:
    held: list[Samples] = []
    count = position = 0
    for piece in pieces:
        held.append(piece)
        count += len(piece)
        if count >= PIECE:
            yield Clip(np.concatenate(held), position)
            position += count
            held, count = [], 0
    if count:
        yield Clip(np.concatenate(held), position)
