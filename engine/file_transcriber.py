"""Transcribe a file with loaded models, for requests, jobs and the command line."""

import math
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from audio.clip import Clip, samples_from_ms, seconds_from_samples
from audio.errors import StartAfterEnd
from audio.files import Info, decode_file, probe
from diarization.known_speakers import LABELS
from engine.file_diarizer import DiarizationOptions, Diarizer, diarizer_of
from streaming.events import Event, FinalTranscript, StreamClosed, TranscriptionFailed
from streaming.file_source import Progress, transcribe_file
from streaming.model_clients import ModelClients
from streaming.options import SessionOptions
from streaming.threads import run_in_thread_to_completion
from transcripts.segments import split_segment
from transcripts.speakers import spoken_by, with_speakers
from transcripts.transcript import FilteredText, Transcript, TranscriptSegment

MAX_CHANNELS: Final = 8  # that are kept apart
MAX_POSITION: Final = 1e9  # seconds; no file is as long, and its samples can be counted


class FileError(Exception):
    """Base of the errors that this module defines."""


class AudioTooLong(FileError):
    """The file contains more audio than is allowed."""

    def __init__(self, max_seconds: float, seconds: float) -> None:
        super().__init__(f"Maximum audio length ({max_seconds:g} s) exceeded ({seconds:.0f} s of audio)")


class TooManyChannels(FileError):
    """The track has more channels than can be kept apart."""

    def __init__(self, channels: int) -> None:
        super().__init__(f"The audio has {channels} channels; at most {MAX_CHANNELS} can be kept apart")


class TimeRangeError(ValueError):
    """A range of a file is empty, negative or too late; `param`: the wrong end of it."""

    def __init__(self, message: str, param: str) -> None:
        super().__init__(message)
        self.param = param


@dataclass(frozen=True, slots=True)
class TimeRange:
    """Name a part of a file, in seconds from its beginning; end: None for the end of the file.

    Raises TimeRangeError if it is empty or negative, or not before MAX_POSITION.
    """

    start: float = 0.0
    end: float | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.start < MAX_POSITION:
            raise TimeRangeError(
                f"start must be 0 or more seconds, and less than {MAX_POSITION:.0e}", "start"
            )
        if self.end is not None and not self.start < self.end < MAX_POSITION:
            raise TimeRangeError(f"end must be after start, and less than {MAX_POSITION:.0e} seconds", "end")


WHOLE: Final = TimeRange()


class UtteranceFailed(FileError):
    """The recognizer failed on an utterance; `offset`: the sample of the file at which the audio begins."""

    def __init__(self, failed: TranscriptionFailed, offset: int = 0) -> None:
        start, end = (seconds_from_samples(offset + place) for place in (failed.start, failed.end))
        super().__init__(f"{start:.1f} to {end:.1f} s could not be transcribed: {failed.message}")


class FileTranscriber:
    """Transcribe one file.

    file: a path, or a file that is open for reading and can seek
    max_seconds: most seconds of audio that are allowed, from the beginning of the file
    track: index among the audio tracks; None for the default one
    within: the part to transcribe; times in the transcript are those of the file
    on_samples_read: called with the number of samples read so far, and again when the work ends
    on_event: called with each event of the stream
    on_failure: called with an utterance that failed, which is then left out. Without it the failure is
        raised, so that an incomplete text is not mistaken for the whole one
    on_progress: called with the sample of the file up to which everything has been recognised
    diarization: how speakers are distinguished, if the server does so; None if they are not
    multichannel: whether the channels are transcribed apart, one after the other. Each is a speaker: A for
        the first one. `diarization` has no effect then
    channels: number of channels that are transcribed; known once `check` has ended
    seconds: length of the audio that is transcribed; known once `transcribe` has ended
    warnings: sentences about sound that may be missing and times that may be wrong; complete at the end
    """

    def __init__(
        self,
        file: Path | IO[bytes],
        *,
        max_seconds: float = math.inf,
        track: int | None = None,
        within: TimeRange = WHOLE,
        on_samples_read: Callable[[int], None] = lambda samples: None,
        on_event: Callable[[Event], None] = lambda event: None,
        on_failure: Callable[[UtteranceFailed], None] | None = None,
        on_progress: Progress | None = None,
        diarization: DiarizationOptions | None = None,
        multichannel: bool = False,
    ) -> None:
        self.seconds = 0.0
        self.channels = 1
        self.warnings: list[str] = []
        self._file = file
        self._track = track
        self._info: Info | None = None
        self._max_seconds = max_seconds
        self._within = within
        self._offset = samples_from_ms(within.start * 1_000)
        self._on_samples_read = on_samples_read
        self._on_event = on_event
        self._on_failure = on_failure
        self._on_progress = on_progress
        self._diarization = diarization
        self._multichannel = multichannel
        self._channels_done = 0
        self._read = 0  # samples, of all channels
        self._file_samples = 0  # decoded so far, also before the part
        self._segments: list[TranscriptSegment] = []
        self._filtered: list[FilteredText] = []

    async def check(self) -> Info:
        """Return the properties of the file from its header.

        Raises AudioError if it contains no audio or not the track, or if the part begins after its end as far
        as the header says where it ends; AudioTooLong, TooManyChannels and OSError.
        """
        self._info = info = await run_in_thread_to_completion(probe, self._file, self._track)
        self._rewind()
        if self._multichannel:
            self.channels = info.track.channels
            if self.channels > MAX_CHANNELS:
                raise TooManyChannels(self.channels)
        seconds = self._within.start
        info.check_start(seconds)
        if info.exact_seconds is not None:
            end = math.inf if self._within.end is None else self._within.end
            seconds = max(seconds, min(info.exact_seconds, end))
        if seconds > self._max_seconds:
            raise AudioTooLong(self._max_seconds, seconds)
        return info

    async def transcribe(
        self, models: ModelClients, options: SessionOptions
    ) -> AsyncGenerator[TranscriptSegment, None]:
        """Yield the segments with text as they become known; close the generator if you stop early.

        Where the words have times, a segment ends with a sentence. Where speakers are distinguished, it ends
        with a speaker, too, and all segments come at the end: only then are the speakers known. Where
        channels are kept apart, `check` must have been called, and all segments come at the end as well.
        Raises AudioError, AudioTooLong, UtteranceFailed, StreamError and OSError.
        """
        if self._multichannel:
            await self._recognize_channels(models, options)
            for segment in self._segments:
                yield segment
            return
        async with AsyncExitStack() as stack:
            diarizer: Diarizer | None = None
            if self._diarization is not None:
                diarizer = await diarizer_of(models, self._diarization)
            if diarizer is not None:
                await stack.enter_async_context(diarizer)
            segments = self._recognize(models, options, diarizer)
            async with aclosing(segments):
                async for segment in segments:
                    self._segments.append(segment)
                    if diarizer is None:
                        yield segment
            if diarizer is not None:
                found = await diarizer.finish()
                turns = [turn.shifted(self._offset) for turn in found.turns]
                overlaps = found.overlaps.shifted(self._offset)
                self._segments = with_speakers(self._segments, turns, found.labels, overlaps)
                for segment in self._segments:
                    yield segment

    async def _recognize_channels(self, models: ModelClients, options: SessionOptions) -> None:
        for channel in range(self.channels):
            self._rewind()
            segments = self._recognize(models, options, None, channel)
            async with aclosing(segments):
                async for segment in segments:
                    self._segments.append(spoken_by(segment, LABELS[channel]))
            self._channels_done += 1
        self._segments.sort(key=lambda segment: segment.start)
        self._filtered.sort(key=lambda text: text.start)
        self.warnings = list(dict.fromkeys(self.warnings))  # about the file, not about a channel

    async def _recognize(
        self,
        models: ModelClients,
        options: SessionOptions,
        diarizer: Diarizer | None,
        channel: int | None = None,
    ) -> AsyncGenerator[TranscriptSegment, None]:
        decoded = decode_file(
            self._file,
            track=self._track,
            channel=channel,
            end=self._within.end,
            on_warning=self.warnings.append,
        )
        clips = self._bounded(decoded)
        on_clip = None if diarizer is None else diarizer.listen
        on_progress = None if self._on_progress is None else self._report
        try:
            events = transcribe_file(clips, models, options, on_progress, on_clip)
            async with aclosing(events):
                async for event in events:
                    self._on_samples_read(self._read)
                    self._on_event(event)
                    if isinstance(event, FinalTranscript) and event.guard is not None:
                        start, end = self._offset + event.clip.start, self._offset + event.clip.end
                        self._filtered.append(FilteredText(start, end, event.guard))
                    if isinstance(event, FinalTranscript) and event.hypothesis.text:
                        for segment in split_segment(self._placed(event)):
                            yield segment
                    elif isinstance(event, TranscriptionFailed):
                        self._fail(UtteranceFailed(event, self._offset))
                    elif isinstance(event, StreamClosed):
                        self.seconds = seconds_from_samples(event.received)
            if self._read == 0 and self._offset > 0:
                seconds = seconds_from_samples(self._file_samples)
                self.warnings.append(str(StartAfterEnd(self._within.start, seconds)))
        finally:
            self._on_samples_read(self._read)  # The decoder reads ahead of the events.

    def transcript(self, source: str, model: str) -> Transcript:
        """Return the transcript so far; `source` and `model` are names to show."""
        return Transcript(
            source,
            model,
            tuple(self._segments),
            tuple(self._filtered),
            tuple(self.warnings),
            self._info,
        )

    def _bounded(self, clips: Iterator[Clip]) -> Iterator[Clip]:
        """Yield the clips up to the maximum length; a small file can contain hours of silence.

        Positions count from the beginning of the part. Clips before it are yielded without samples, so that
        the work can be cancelled after each of them.
        """
        before = self._read
        for clip in clips:
            seconds = seconds_from_samples(clip.end)
            if seconds > self._max_seconds:
                raise AudioTooLong(self._max_seconds, seconds)
            self._file_samples = clip.end
            self._read = before + max(clip.end - self._offset, 0)
            yield Clip(clip.samples[max(self._offset - clip.start, 0) :], max(clip.start - self._offset, 0))

    def _placed(self, event: FinalTranscript) -> TranscriptSegment:
        """Return the segment of a final, with the times of the file."""
        segment = TranscriptSegment(event.clip.start, event.clip.end, event.hypothesis)
        return segment.shifted(self._offset)

    def _report(self, sample: int) -> None:
        """Report progress as if all channels were transcribed together."""
        assert self._on_progress is not None
        done = self._channels_done * samples_from_ms(self.seconds * 1_000) + sample
        self._on_progress(self._offset + done // self.channels)

    def _rewind(self) -> None:
        if not isinstance(self._file, Path):
            self._file.seek(0)

    def _fail(self, failure: UtteranceFailed) -> None:
        if self._on_failure is None:
            raise failure
        self._on_failure(failure)
