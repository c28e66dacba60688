"""Decode audio and video files to clips at 16 kHz, piece by piece, never a whole file in memory."""

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
from audio.errors import DamagedFile, UnknownFormat, UnreadableFile, UnsupportedSampleRate
from audio.resampler import Resampler

Source = str | os.PathLike[str] | IO[bytes]

PIECE: Final = SAMPLE_RATE  # samples of a clip, at least; only the last has fewer
MIN_FILE_RATE: Final = 4_000  # Hz
MAX_FILE_RATE: Final = 768_000  # Hz
ACCEPTED_LOSS: Final = 0.1  # seconds: some encoders leave a last block that decoders reject

# Formats that FFmpeg may detect. Playlists and lists of files are excluded: FFmpeg would open whatever they
# name, on this machine's disk and network.
FORMATS: Final = (
    *("aac", "ac3", "aiff", "amr", "ape", "asf", "au", "avi", "caf", "eac3", "flac", "flv", "matroska"),
    *("mov", "mp3", "mpeg", "mpegts", "ogg", "tta", "voc", "w64", "wav", "wv"),
)
_HEAD_BYTES: Final = 512  # enough to recognize a web page
_OPTIONS: Final = {"format_whitelist": ",".join(FORMATS)}
# Formats that declare their length at the beginning. WAV does so too, but not reliably when it is streamed.
_FORMATS_WITH_LENGTH: Final = frozenset({"flac", "matroska,webm", "mov,mp4,m4a,3gp,3g2,mj2", "mp3"})
_MAX_MISSING_SHARE: Final = (
    0.05  # share of the declared length, plus a second, for encoder delay and estimated lengths
)


@dataclass(frozen=True, slots=True)
class Info:
    """Describe the first audio stream of a file; seconds: None if the file does not declare its length."""

    seconds: float | None
    codec: str
    sample_rate: int
    channels: int


@dataclass(slots=True)
class _DecodeResult:
    """Count the seconds of a stream that were decoded and lost; `error` is the last error."""

    decoded: float = 0.0
    lost: float = 0.0
    error: str = "it holds no audio"
    at_end: bool = False

    def lose(self, seconds: float, error: str | None) -> None:
        self.lost += seconds
        self.error = error or self.error


def probe(source: Source) -> Info:
    """Read the description of a file, from its beginning and, depending on the container, its end.

    An open file is read from its current position, which changes. Raises UnreadableFile, OSError.
    """
    with _opened(source) as container:
        stream = _audio(container)
        return Info(_length(container, stream), stream.codec_context.name, stream.rate, stream.channels)


def decode_file(source: Source, *, start: float = 0.0, end: float | None = None) -> Iterator[Clip]:
    """Yield the first audio stream of a file as clips of about a second; channels become their mean.

    start, end: the range to decode, in seconds; positions of the clips count from `start` (the audio before
        it is decoded and dropped, so that the position is exact in every container)
    source: a path, or a file that is open for reading bytes; it need not be seekable, except for an mp4 with
        its index at the end

    n frames at one rate become floor(n * 16000 / rate + 1/2) samples. Gaps between a container's timestamps
    are not filled. Audio that cannot be decoded is left out; then, or if the file is much shorter than it
    declares, DamagedFile is raised after the last clip, as a warning.

    Raises OSError, UnreadableFile, UnsupportedSampleRate (not in 4..768 kHz), DamagedFile while it is
    iterated; ValueError at once if the range is empty or negative.
    """
    first, stop = samples_from_ms(start * 1000), None if end is None else samples_from_ms(end * 1000)
    if first < 0 or (stop is not None and stop < first):
        raise ValueError(f"the range from {start} to {end} s is not valid")
    return _clips(source, first, stop)


def _clips(source: Source, first: int, stop: int | None) -> Iterator[Clip]:
    result = _DecodeResult()
    with _opened(source) as container:
        stream = _audio(container)
        pieces = _resampled(_frames(container, stream, result), result)
        yield from _joined(_within(pieces, first, stop))
        _raise_if_lost(result, _declared(container, stream))


def _raise_if_lost(result: _DecodeResult, declared: float) -> None:
    if not result.decoded:
        raise UnreadableFile(f"the file cannot be decoded: {result.error}")
    if result.lost >= ACCEPTED_LOSS:
        raise DamagedFile(
            f"the file is damaged: {result.lost:.1f} s of it could not be decoded ({result.error})"
        )
    if result.at_end and result.decoded < declared * (1 - _MAX_MISSING_SHARE) - 1:
        raise DamagedFile(f"the file is damaged: {result.decoded:.1f} s are left of its {declared:.1f} s")


@contextmanager
def _opened(source: Source) -> Iterator[InputContainer]:
    """Open a file; a path is opened here, because FFmpeg would accept "http:..." and "concat:..." as one."""
    path = isinstance(source, str | os.PathLike)
    with open(source, "rb") if path else nullcontext(source) as file:  # type: ignore[arg-type]
        try:
            # Tags in an unknown encoding must not make the audio unreadable.
            container = av.open(file, "r", metadata_errors="replace", options=_OPTIONS)
        except (av.FFmpegError, OSError) as error:  # OSError if FFmpeg seeks to before the beginning
            raise _unreadable(file, error.strerror) from error  # type: ignore[arg-type]
        with container:
            yield container


def _unreadable(file: IO[bytes], reason: str | None) -> UnreadableFile:
    """Return the error for a file that FFmpeg cannot open: what people most often give instead of audio."""
    try:
        file.seek(0)
        head = file.read(_HEAD_BYTES).lstrip().lower()
    except (OSError, ValueError):  # it cannot seek
        head = b"?"
    if not head:
        return UnreadableFile("the file is empty")
    if head.startswith((b"<!doctype html", b"<html")):
        return UnreadableFile("the file is a web page, not audio or video")
    return UnknownFormat(f"the file is not audio or video that can be read: {reason}")


def _audio(container: InputContainer) -> AudioStream:
    if not container.streams.audio:
        raise UnreadableFile("the file holds no audio stream")
    return container.streams.audio[0]


def _length(container: InputContainer, stream: AudioStream) -> float | None:
    """Return the declared seconds of the audio, or else of the whole container; None if there are none."""
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    return container.duration / av.time_base if container.duration else None


def _declared(container: InputContainer, stream: AudioStream) -> float:
    """Return the seconds of audio that must be there; 0 if the container declares no reliable length."""
    if container.format.name not in _FORMATS_WITH_LENGTH or (
        stream.duration is None and container.streams.video
    ):
        return 0
    return _length(container, stream) or 0


def _frames(container: InputContainer, stream: AudioStream, result: _DecodeResult) -> Iterator[AudioFrame]:
    try:
        for packet in container.demux(stream):
            try:
                frames = packet.decode()
            except av.FFmpegError as error:  # the next packet may be intact
                length = packet.duration and packet.time_base and float(packet.duration * packet.time_base)
                result.lose(length or ACCEPTED_LOSS, error.strerror)
                continue
            yield from frames
    except av.FFmpegError as error:
        result.lose(ACCEPTED_LOSS, error.strerror)
    result.at_end = True


def _resampled(frames: Iterator[AudioFrame], result: _DecodeResult) -> Iterator[Samples]:
    """Yield float32 (n,) at 16 kHz; where the rate changes, the resampler is flushed and nothing is lost."""
    rate, resampler = SAMPLE_RATE, Resampler(SAMPLE_RATE)
    for frame in frames:
        samples = _mono(frame)
        if not np.isfinite(samples).all():  # damaged data may decode to it
            result.lose(frame.samples / frame.sample_rate, "NaN or infinity")
            continue
        if frame.sample_rate != rate:
            yield resampler.flush()
            rate, resampler = frame.sample_rate, _resampler(frame.sample_rate)
        result.decoded += len(samples) / rate
        yield resampler.resample(samples.clip(-1, 1))
    yield resampler.flush()


def _resampler(rate: int) -> Resampler:
    if not MIN_FILE_RATE <= rate <= MAX_FILE_RATE:
        raise UnsupportedSampleRate(f"a file at {rate} Hz cannot be read: {MIN_FILE_RATE} to {MAX_FILE_RATE}")
    return Resampler(rate)


def _mono(frame: AudioFrame) -> Samples:
    """Return the mean of the channels, float32 (n,), full scale is [-1, 1]."""
    data = frame.to_ndarray()
    channels = data if frame.format.is_planar else data.reshape(-1, len(frame.layout.channels)).T
    mono: NDArray[np.float64] = channels.mean(axis=0, dtype=np.float64)
    if data.dtype == np.uint8:
        mono -= 128  # the zero level of unsigned samples
    if data.dtype.kind in "iu":
        mono /= 2.0 ** (8 * data.itemsize - 1)
    return mono.astype(np.float32)


def _within(pieces: Iterator[Samples], first: int, stop: int | None) -> Iterator[Samples]:
    """Yield the samples [first, stop) of all; reads no more pieces than needed."""
    position = 0
    for piece in pieces:
        start, position = position, position + len(piece)
        yield piece[max(first - start, 0) : None if stop is None else max(stop - start, 0)]
        if stop is not None and position >= stop:
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
