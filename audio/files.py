"""Decode audio and video files to clips at 16 kHz, piece by piece, never a whole file in memory."""

import io
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from typing import IO, Final

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Disposition
from numpy.typing import NDArray

from audio.clip import SAMPLE_RATE, Clip, Samples, samples_from_ms, seconds_from_samples
from audio.errors import (
    NoAudio,
    StartAfterEnd,
    UnknownFormat,
    UnknownTrack,
    UnreadableFile,
    UnsupportedSampleRate,
)
from audio.mp3_header import declared_seconds
from audio.resampler import Resampler
from audio.stereo import StereoMixer
from audio.track_clock import TrackClock
from audio.wav_parts import MAX_PARTS, WavPart, wav_parts

Source = str | os.PathLike[str] | IO[bytes]

PIECE: Final = SAMPLE_RATE  # samples of a clip, at least; only the last has fewer
MIN_FILE_RATE: Final = 4_000  # Hz
MAX_FILE_RATE: Final = 768_000  # Hz
# Seconds that may be lost without a warning: some encoders leave a last block that decoders reject.
ACCEPTED_LOSS: Final = 0.1
# Seconds that may be missing without a warning: encoder delay and padding count in some headers.
ACCEPTED_SHORTFALL: Final = 0.25
_ACCEPTED_SHARE: Final = 0.05  # of a length that is not an exact count, plus a second

# Formats that FFmpeg may detect. Playlists and lists of files are excluded: FFmpeg would open whatever they
# name, on this machine's disk and network.
FORMATS: Final = (
    *("aac", "ac3", "aiff", "amr", "ape", "asf", "au", "avi", "caf", "eac3", "flac", "flv", "matroska"),
    *("mov", "mp3", "mpeg", "mpegts", "ogg", "tta", "voc", "w64", "wav", "wv"),
)
_HEAD_BYTES: Final = 512  # enough to recognize a web page
_OPTIONS: Final = {"format_whitelist": ",".join(FORMATS)}
_MP4: Final = "mov,mp4,m4a,3gp,3g2,mj2"
_MATROSKA: Final = "matroska,webm"
_ESTIMATED: Final = frozenset({"aac", "ac3", "amr", "eac3", "mp3"})  # lengths estimated from the bitrate
_TAGS: Final = (b"ID3", b"TAG", b"APETAGEX", b"LYRICSBEGIN")  # beginnings of packets without sound
MAX_NAME_CHARS: Final = 200  # of a language or title
_ZEROS: Final[Samples] = np.zeros(PIECE, np.float32)


@dataclass(frozen=True, slots=True)
class Track:
    """Describe an audio track of a file.

    index: its number among the audio tracks, from 0
    language: as the file names it, mostly a code of ISO 639-2; None if it names none
    default: whether the file flags it as the track to play
    """

    index: int
    language: str | None
    title: str | None
    default: bool
    codec: str
    sample_rate: int
    channels: int


@dataclass(frozen=True, slots=True)
class Info:
    """Describe a file.

    seconds: duration; None if the file does not declare it
    is_estimate: whether `seconds` was estimated from the size of the file
    track: the one to decode
    tracks: all audio tracks
    """

    seconds: float | None
    is_estimate: bool
    track: Track
    tracks: tuple[Track, ...]

    @property
    def exact_seconds(self) -> float | None:
        """Return the duration; None if the file does not declare it exactly."""
        return None if self.is_estimate else self.seconds

    def check_start(self, start: float) -> None:
        """Raise StartAfterEnd if a part from `start` seconds on certainly begins after the file's end."""
        if self.exact_seconds is not None and 0 < start >= self.exact_seconds:
            raise StartAfterEnd(start, self.exact_seconds)


def probe(source: Source, track: int | None = None) -> Info:
    """Read the description of a file, and its audio up to the first sound that can be decoded.

    source: if it is an open file, it is read from its current position, which changes
    track: as for `decode_file`

    Raises NoAudio, UnreadableFile, UnknownTrack, OSError.
    """
    reader = _TrackReader(track)
    with _recordings(source) as recordings:
        for recording in recordings:
            with opened_container(recording.file) as container:
                stream = reader.stream_of(container)
                if next(reader.frames(container, stream), None) is not None:
                    return _info(container, stream, recordings)
    raise reader.failure()


def decode_file(
    source: Source,
    *,
    track: int | None = None,
    channel: int | None = None,
    start: float = 0.0,
    end: float | None = None,
    on_warning: Callable[[str], None] = lambda warning: None,
) -> Iterator[Clip]:
    """Yield an audio track of a file as clips of about a second.

    Several channels become their mean; where the mean would cancel two channels, one of them (StereoMixer).
    Times are those of a player: a track that begins late, and gaps between timestamps, are filled with
    silence (TrackClock). Without them, n frames at one rate become floor(n * 16000 / rate + 1/2) samples.
    Audio that cannot be decoded is left out, and is silence if the timestamps show how long it was.

    source: a path, or a file that is open for reading bytes; it need not be seekable, except for an mp4 with
        its index at the end, and for a wav whose header is wrong
    track: index among the audio tracks; None for the one that is flagged as default, or else the first
    channel: index of the only channel to decode, which is silent where the track lacks it; None for the mix
    start, end: the range to decode, in seconds; positions of the clips count from `start` (the audio before
        it is decoded and dropped, so that the position is exact in every container)
    on_warning: called at the end with a sentence about each reason why sound may be missing

    Raises OSError, NoAudio, UnreadableFile, UnknownTrack, UnsupportedSampleRate (not in 4..768 kHz) while it
    is iterated; ValueError at once if the range is empty or negative.
    """
    first, stop = samples_from_ms(start * 1000), None if end is None else samples_from_ms(end * 1000)
    if first < 0 or (stop is not None and stop < first):
        raise ValueError(f"the range from {start} to {end} s is not valid")
    return _clips(source, _TrackReader(track, channel), first, stop, on_warning)


def _clips(
    source: Source, reader: "_TrackReader", first: int, stop: int | None, warn: Callable[[str], None]
) -> Iterator[Clip]:
    with _recordings(source) as recordings:
        yield from _joined(_within(reader.pieces(recordings), first, stop))
        if len(recordings) == MAX_PARTS:
            warn(f"Only the first {MAX_PARTS} recordings of the file were read.")
    if reader.is_complete and not reader.decoded:
        raise reader.failure()
    for warning in reader.warnings():
        warn(warning)


@dataclass(frozen=True, slots=True)
class _Recording:
    """Hold a file for FFmpeg.

    part: its place in a WAV with a wrong header; None for a file as it is
    mp3_seconds: duration by the number of frames that an MP3 declares
    """

    file: IO[bytes]
    part: WavPart | None = None
    mp3_seconds: float | None = None


@contextmanager
def _recordings(source: Source) -> Iterator[list[_Recording]]:
    """Open a file; a path is opened here, because FFmpeg would accept "http:..." and "concat:..." as one."""
    if isinstance(source, str | os.PathLike):
        with open(source, "rb") as file:
            yield _recordings_in(file)
    else:
        yield _recordings_in(source)


def _recordings_in(file: IO[bytes]) -> list[_Recording]:
    if not file.seekable():
        return [_Recording(file)]
    start = file.tell()
    if file.seek(0, io.SEEK_END) == start:
        raise NoAudio
    file.seek(start)
    parts = [_Recording(part.open(file), part) for part in wav_parts(file)]
    return parts or [_Recording(file, mp3_seconds=declared_seconds(file))]


@contextmanager
def opened_container(file: IO[bytes]) -> Iterator[InputContainer]:
    """Open a file with FFmpeg, in one of FORMATS. Raises NoAudio and UnreadableFile."""
    try:
        # Tags in an unknown encoding must not make the audio unreadable.
        container = av.open(file, "r", metadata_errors="replace", options=_OPTIONS)
    except (av.error.EOFError, av.error.OSError) as error:
        raise NoAudio from error  # the format is known, and the file ends before its audio
    except (av.FFmpegError, OSError) as error:  # OSError if FFmpeg seeks to before the beginning
        raise _unreadable(file, error.strerror) from error
    with container:
        yield container


def _unreadable(file: IO[bytes], reason: str | None) -> UnreadableFile:
    """Return the error for a file that FFmpeg cannot open; people often save a web page in place of sound."""
    try:
        file.seek(0)
        head = file.read(_HEAD_BYTES).lstrip().lower()
    except (OSError, ValueError):  # it cannot seek
        head = b""
    if head.startswith((b"<!doctype html", b"<html")):
        return UnreadableFile("the file is a web page, not audio or video")
    return UnknownFormat(f"the file is not audio or video that can be read: {reason}")


def _info(container: InputContainer, stream: AudioStream, recordings: list[_Recording]) -> Info:
    tracks = tuple(map(_track, range(len(container.streams.audio)), container.streams.audio))
    track = tracks[container.streams.audio.index(stream)]
    parts = [recording.part for recording in recordings if recording.part]
    if parts:
        return Info(sum(part.seconds or 0.0 for part in parts), False, track, tracks)
    seconds = recordings[0].mp3_seconds
    is_estimate = seconds is None and container.format.name in _ESTIMATED
    return Info(seconds or _length(container, stream), is_estimate, track, tracks)


def _track(index: int, stream: AudioStream) -> Track:
    language = stream.metadata.get("language", "und")[:MAX_NAME_CHARS]
    return Track(
        index,
        None if language == "und" else language,
        stream.metadata.get("title", "")[:MAX_NAME_CHARS] or None,
        bool(stream.disposition & Disposition.default),
        stream.codec_context.name,
        stream.rate,
        stream.channels,
    )


def _length(container: InputContainer, stream: AudioStream) -> float | None:
    """Return the declared seconds of the audio, or else of the whole container; None if there are none."""
    seconds = _seconds_from(stream.duration, stream.time_base)
    return seconds or (container.duration / av.time_base if container.duration else None)


class _TrackReader:
    """Decode one audio track, and count what is decoded and lost.

    decoded: seconds of sound
    is_complete: whether everything was read
    """

    def __init__(self, track: int | None, channel: int | None = None) -> None:
        self.decoded = 0.0
        self.is_complete = False
        self._track = track
        self._lost = 0.0  # seconds
        self._error: str | None = None  # the last one
        self._timeline = _Timeline(channel)
        self._warnings: list[str] = []

    def stream_of(self, container: InputContainer) -> AudioStream:
        """Return the track. Raises NoAudio, UnknownTrack."""
        streams = container.streams.audio
        if not streams:
            raise NoAudio
        if self._track is None:
            return next((each for each in streams if each.disposition & Disposition.default), streams[0])
        if not 0 <= self._track < len(streams):
            raise UnknownTrack(self._track, len(streams))
        return streams[self._track]

    def frames(self, container: InputContainer, stream: AudioStream) -> Iterator[AudioFrame]:
        """Yield the frames that can be decoded."""
        try:
            for packet in container.demux(stream):
                try:
                    frames = packet.decode()
                except av.FFmpegError as error:  # the next packet may be intact
                    if not bytes(packet).startswith(_TAGS):
                        seconds = _seconds_from(packet.duration, packet.time_base)
                        self._lose(seconds or ACCEPTED_LOSS, error.strerror)
                    continue
                yield from frames
        except av.FFmpegError as error:
            self._lose(ACCEPTED_LOSS, error.strerror)

    def pieces(self, recordings: list[_Recording]) -> Iterator[Samples]:
        """Yield float32 (n,) at 16 kHz, as far as they are certain."""
        for recording in recordings:
            with opened_container(recording.file) as container:
                yield from self._recording(container, recording.mp3_seconds)
        yield self._timeline.flush()
        self.is_complete = True

    def failure(self) -> NoAudio | UnreadableFile:
        """Return the error of a file without sound."""
        return UnreadableFile(f"the file cannot be decoded: {self._error}") if self._error else NoAudio()

    def warnings(self) -> Iterator[str]:
        """Yield a sentence about each reason why sound may be missing, or times may be wrong."""
        if self._lost >= ACCEPTED_LOSS:
            yield f"{self._lost:.1f} s of the audio could not be decoded ({self._error})."
        yield from self._warnings
        if self._timeline.skipped:
            yield (
                f"The timestamps jump by {self._timeline.skipped:.0f} s, which is too long for a pause: "
                "later times continue from there without it."
            )

    def _recording(self, container: InputContainer, mp3_seconds: float | None) -> Iterator[Samples]:
        stream = self.stream_of(container)
        start = self._timeline.end
        self._timeline.begin(container.start_time)
        decoded, first = self.decoded, None
        for frame in self.frames(container, stream):
            yield from self._placed(frame)
            first = self._timeline.end - frame.samples / frame.sample_rate if first is None else first
        found, end = self.decoded - decoded, self._timeline.end - start
        if container.format.name == _MP4 and first is not None:
            found = self._timeline.end - first  # the durations of samples include the gaps
        counted = mp3_seconds or _counted(container, stream)
        declared = None if counted else _declared(container, stream)
        if counted and counted - found - self._lost >= ACCEPTED_SHORTFALL:
            self._warnings.append(
                f"The file is incomplete: {found:.1f} s of its {counted:.1f} s of audio were found."
            )
        elif declared and end < declared * (1 - _ACCEPTED_SHARE) - 1:
            self._warnings.append(
                f"The file may be incomplete: it declares {declared:.1f} s, but its audio ends at "
                f"{end:.1f} s."
            )

    def _placed(self, frame: AudioFrame) -> Iterator[Samples]:
        channels = _channels(frame)
        if not np.isfinite(channels).all():  # damaged data may decode to it
            self._lose(frame.samples / frame.sample_rate, "NaN or infinity")
            return
        self.decoded += frame.samples / frame.sample_rate
        yield from self._timeline.add(channels, frame.sample_rate, frame.time)

    def _lose(self, seconds: float, error: str | None) -> None:
        self._lost += seconds
        self._error = error or self._error


class _Timeline:
    """Resample frames, and put them one after the other, with silence in the gaps between their times."""

    def __init__(self, channel: int | None) -> None:
        self._channel = channel
        self._rate = SAMPLE_RATE
        self._resampler = Resampler(SAMPLE_RATE)
        self._mixer = StereoMixer(SAMPLE_RATE)
        self._clock = TrackClock(None)
        self._start = 0  # samples at 16 kHz before the frames that are in the resampler
        self._frames = 0
        self._skipped = 0.0

    @property
    def seconds(self) -> float:
        """Duration of all so far."""
        return seconds_from_samples(self._start) + self._frames / self._rate

    @property
    def skipped(self) -> float:
        """Seconds of gaps that were too long to be filled."""
        return self._skipped + self._clock.skipped

    @property
    def end(self) -> float:
        """Duration of all so far, with the gaps that were not filled."""
        return self.seconds + self.skipped

    def begin(self, origin: int | None) -> None:
        """Begin a recording, whose player begins at the timestamp `origin` in microseconds."""
        self._skipped += self._clock.skipped
        self._clock = TrackClock(None if origin is None else origin / av.time_base - self.seconds)

    def add(self, channels: NDArray[np.float64], rate: int, time: float | None) -> Iterator[Samples]:
        """Yield the samples at 16 kHz that are certain by now. Raises UnsupportedSampleRate.

        channels: (channels, n), full scale is [-1, 1]
        time: timestamp in seconds, if there is one
        """
        if rate != self._rate:
            if not MIN_FILE_RATE <= rate <= MAX_FILE_RATE:
                raise UnsupportedSampleRate(
                    f"a file at {rate} Hz cannot be read: {MIN_FILE_RATE} to {MAX_FILE_RATE}"
                )
            yield self.flush()
            self._rate, self._resampler, self._mixer = rate, Resampler(rate), StereoMixer(rate)
        gap = 0.0 if time is None else self._clock.gap(time, self.seconds)
        if gap:
            end = samples_from_ms((self.seconds + gap) * 1000)
            yield self.flush()
            yield from self._silence(end)
        self._frames += channels.shape[1]
        yield self._resampler.resample(self._mono(channels).clip(-1, 1))

    def flush(self) -> Samples:
        """Return what the resampler still holds."""
        self._start += (2 * self._frames * SAMPLE_RATE + self._rate) // (2 * self._rate)
        self._frames = 0
        return self._resampler.flush()

    def _mono(self, channels: NDArray[np.float64]) -> Samples:
        """Return one channel or the mix, float32 (n,)."""
        if self._channel is not None:
            rows = channels[self._channel : self._channel + 1]
            one: Samples = (rows[0] if len(rows) else np.zeros(channels.shape[1])).astype(np.float32)
            return one
        mean: Samples = channels.mean(axis=0).astype(np.float32)
        if len(channels) != 2:
            return mean
        return self._mixer.mix(channels.astype(np.float32).clip(-1, 1), mean)

    def _silence(self, end: int) -> Iterator[Samples]:
        while self._start < end:
            silence = _ZEROS[: end - self._start]
            self._start += len(silence)
            yield silence


def _seconds_from(ticks: int | None, time_base: Fraction | None) -> float | None:
    return float(ticks * time_base) if ticks and time_base else None


def _counted(container: InputContainer, stream: AudioStream) -> float | None:
    """Return the seconds of audio if the file declares an exact number of samples for the track."""
    is_exact = container.format.name == "flac" or (container.format.name == _MP4 and stream.frames)
    return _seconds_from(stream.duration, stream.time_base) if is_exact else None


def _declared(container: InputContainer, stream: AudioStream) -> float | None:
    """Return the time at which a Matroska file says that its audio ends."""
    if container.format.name != _MATROSKA:
        return None
    tag = re.fullmatch(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)", stream.metadata.get("DURATION", ""))
    if tag:
        return 3_600 * int(tag[1]) + 60 * int(tag[2]) + float(tag[3])
    is_only = len(container.streams) == 1
    return container.duration / av.time_base if is_only and container.duration else None


def _channels(frame: AudioFrame) -> NDArray[np.float64]:
    """Return the samples, float64 (channels, n), full scale is [-1, 1]."""
    data = frame.to_ndarray()
    channels = data if frame.format.is_planar else data.reshape(-1, len(frame.layout.channels)).T
    scaled: NDArray[np.float64] = channels.astype(np.float64)
    if data.dtype == np.uint8:
        scaled -= 128  # the zero level of unsigned samples
    if data.dtype.kind in "iu":
        scaled /= 2.0 ** (8 * data.itemsize - 1)
    return scaled


def _within(pieces: Iterator[Samples], first: int, stop: int | None) -> Iterator[Samples]:
    """Yield the samples [first, stop) of all; reads no more pieces than needed."""
    position = 0
    for piece in pieces:
        start, position = position, position + len(piece)
        if position > first:  # An empty part would keep the piece in memory.
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
