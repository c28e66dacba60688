"""Transcribe a file with loaded models, for requests, jobs and the command line."""

import math
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import AsyncExitStack, aclosing
from pathlib import Path
from typing import IO

from audio.clip import Clip, seconds_from_samples
from audio.files import Info, decode_file, probe
from engine.file_diarizer import DiarizationOptions, FileDiarizer
from streaming.events import Event, FinalTranscript, StreamClosed, TranscriptionFailed
from streaming.file_source import Progress, transcribe_file
from streaming.model_clients import ModelClients
from streaming.options import SessionOptions
from streaming.threads import run_in_thread_to_completion
from transcripts.segments import split_segment
from transcripts.speakers import with_speakers
from transcripts.transcript import FilteredText, Transcript, TranscriptSegment


class FileError(Exception):
    """Base of the errors that this module defines."""


class AudioTooLong(FileError):
    """The file contains more audio than is allowed."""

    def __init__(self, max_seconds: float, seconds: float) -> None:
        super().__init__(f"Maximum audio length ({max_seconds:g} s) exceeded ({seconds:.0f} s of audio)")


class UtteranceFailed(FileError):
    """The recognizer failed on an utterance."""

    def __init__(self, failed: TranscriptionFailed) -> None:
        start, end = seconds_from_samples(failed.start), seconds_from_samples(failed.end)
        super().__init__(f"{start:.1f} to {end:.1f} s could not be transcribed: {failed.message}")


class FileTranscriber:
    """Transcribe one file.

    file: a path, or a file that is open for reading and can seek
    max_seconds: most seconds of audio that are allowed
    track: index among the audio tracks; None for the default one
    on_samples_read: called with the number of samples read so far, and again when the work ends
    on_event: called with each event of the stream
    on_failure: called with an utterance that failed, which is then left out. Without it the failure is
        raised, so that an incomplete text is not mistaken for the whole one
    on_progress: called with the sample up to which everything has been recognised
    diarization: how speakers are distinguished, if the server does so; None if they are not
    seconds: length of the audio; known once `transcribe` has ended
    warnings: sentences about sound that may be missing and times that may be wrong; complete at the end
    """

    def __init__(
        self,
        file: Path | IO[bytes],
        *,
        max_seconds: float = math.inf,
        track: int | None = None,
        on_samples_read: Callable[[int], None] = lambda samples: None,
        on_event: Callable[[Event], None] = lambda event: None,
        on_failure: Callable[[UtteranceFailed], None] | None = None,
        on_progress: Progress | None = None,
        diarization: DiarizationOptions | None = None,
    ) -> None:
        self.seconds = 0.0
        self.warnings: list[str] = []
        self._file = file
        self._track = track
        self._info: Info | None = None
        self._max_seconds = max_seconds
        self._on_samples_read = on_samples_read
        self._on_event = on_event
        self._on_failure = on_failure
        self._on_progress = on_progress
        self._diarization = diarization
        self._read = 0  # samples
        self._segments: list[TranscriptSegment] = []
        self._filtered: list[FilteredText] = []

    async def check(self) -> Info:
        """Return the properties of the file from its header.

        Raises AudioError if it contains no audio or not the track, AudioTooLong and OSError.
        """
        self._info = info = await run_in_thread_to_completion(probe, self._file, self._track)
        if not isinstance(self._file, Path):
            self._file.seek(0)
        if info.seconds is not None and info.seconds > self._max_seconds and not info.is_estimate:
            raise AudioTooLong(self._max_seconds, info.seconds)
        return info

    async def transcribe(
        self, models: ModelClients, options: SessionOptions
    ) -> AsyncGenerator[TranscriptSegment, None]:
        """Yield the segments with text as they become known; close the generator if you stop early.

        Where the words have times, a segment ends with a sentence. Where speakers are distinguished, it ends
        with a speaker, too, and all segments come at the end: only then are the speakers known.
        Raises AudioError, AudioTooLong, UtteranceFailed, StreamError and OSError.
        """
        async with AsyncExitStack() as stack:
            diarizer = None
            if self._diarization is not None and models.speakers is not None:
                await models.speakers.start()  # A failure is reported before the long work, not after it.
                diarizer = await stack.enter_async_context(FileDiarizer(models.speakers, self._diarization))
            segments = self._recognize(models, options, diarizer)
            async with aclosing(segments):
                async for segment in segments:
                    self._segments.append(segment)
                    if diarizer is None:
                        yield segment
            if diarizer is not None:
                found = await diarizer.finish()
                self._segments = with_speakers(self._segments, found.turns, found.labels)
                for segment in self._segments:
                    yield segment

    async def _recognize(
        self, models: ModelClients, options: SessionOptions, diarizer: FileDiarizer | None
    ) -> AsyncGenerator[TranscriptSegment, None]:
        decoded = decode_file(self._file, track=self._track, on_warning=self.warnings.append)
        clips = self._bounded(decoded)
        on_clip = None if diarizer is None else diarizer.listen
        try:
            events = transcribe_file(clips, models, options, self._on_progress, on_clip)
            async with aclosing(events):
                async for event in events:
                    self._on_samples_read(self._read)
                    self._on_event(event)
                    if isinstance(event, FinalTranscript) and event.guard is not None:
                        self._filtered.append(FilteredText(event.clip.start, event.clip.end, event.guard))
                    if isinstance(event, FinalTranscript) and event.hypothesis.text:
                        whole = TranscriptSegment(event.clip.start, event.clip.end, event.hypothesis)
                        for segment in split_segment(whole):
                            yield segment
                    elif isinstance(event, TranscriptionFailed):
                        self._fail(UtteranceFailed(event))
                    elif isinstance(event, StreamClosed):
                        self.seconds = seconds_from_samples(event.received)
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
        """Yield the clips up to the maximum length; a small file can contain hours of silence."""
        for clip in clips:
            seconds = seconds_from_samples(clip.end)
            if seconds > self._max_seconds:
                raise AudioTooLong(self._max_seconds, seconds)
            self._read = clip.end
            yield clip

    def _fail(self, failure: UtteranceFailed) -> None:
        if self._on_failure is None:
            raise failure
        self._on_failure(failure)
