"""FileTranscriber: one file on its way through the models, as requests, jobs and the command line want it."""

import math
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import IO

from audio.clip import Clip, seconds_from_samples
from audio.files import Info, decode_file, probe
from streaming.events import Event, FinalTranscript, StreamClosed, TranscriptionFailed
from streaming.file_source import Progress, transcribe_file
from streaming.model_clients import ModelClients
from streaming.options import SessionOptions
from streaming.threads import run_in_thread_to_completion
from transcripts.transcript import Transcript, TranscriptSegment


class FileError(Exception):
    """Root of what this module raises beside AudioError, StreamError and OSError."""


class AudioTooLong(FileError):
    """The file holds more audio than is allowed."""

    def __init__(self, max_seconds: float, seconds: float) -> None:
        super().__init__(f"Maximum audio length ({max_seconds:g} s) exceeded ({seconds:.0f} s of sound)")


class UtteranceFailed(FileError):
    """The recognizer failed on an utterance."""

    def __init__(self, failed: TranscriptionFailed) -> None:
        start, end = seconds_from_samples(failed.start), seconds_from_samples(failed.end)
        super().__init__(f"{start:.1f} to {end:.1f} s could not be transcribed: {failed.message}")


class FileTranscriber:
    """Transcribes one file.

    file: a path, or a file that is open for reading and can seek
    max_seconds: most audio that is allowed
    count: called with the number of samples that have been read so far, and at last however the work ends
    observe: called with each event of the stream
    on_failure: called with an utterance that failed, which is then left out; without it the work ends there,
        for a text with a hole must not pass for what was said
    on_progress: called with the sample up to which everything has been recognised
    seconds: the audio there was; known once `transcribe` has ended
    """

    def __init__(
        self,
        file: Path | IO[bytes],
        *,
        max_seconds: float = math.inf,
        count: Callable[[int], None] = lambda samples: None,
        observe: Callable[[Event], None] = lambda event: None,
        on_failure: Callable[[UtteranceFailed], None] | None = None,
        on_progress: Progress | None = None,
    ) -> None:
        self.seconds = 0.0
        self._file = file
        self._max_seconds = max_seconds
        self._count = count
        self._observe = observe
        self._on_failure = on_failure
        self._on_progress = on_progress
        self._read = 0  # samples
        self._segments: list[TranscriptSegment] = []

    async def check(self) -> Info:
        """Look at the beginning of the file, and return what it says.

        Raises AudioError if it holds no sound, AudioTooLong, OSError.
        """
        info = await run_in_thread_to_completion(probe, self._file)
        if not isinstance(self._file, Path):
            self._file.seek(0)
        if info.seconds is not None and info.seconds > self._max_seconds:
            raise AudioTooLong(self._max_seconds, info.seconds)
        return info

    async def transcribe(
        self, models: ModelClients, options: SessionOptions
    ) -> AsyncGenerator[TranscriptSegment, None]:
        """Yield the segments with text, as they become known. Close it if you leave early.

        Raises AudioError (DamagedFile is a warning behind the last segment), AudioTooLong, UtteranceFailed,
        StreamError, OSError.
        """
        clips = self._bounded(decode_file(self._file))
        try:
            async with aclosing(transcribe_file(clips, models, options, self._on_progress)) as events:
                async for event in events:
                    self._count(self._read)
                    self._observe(event)
                    if isinstance(event, FinalTranscript) and event.hypothesis.text:
                        segment = TranscriptSegment(event.clip.start, event.clip.end, event.hypothesis)
                        self._segments.append(segment)
                        yield segment
                    elif isinstance(event, TranscriptionFailed):
                        self._fail(UtteranceFailed(event))
                    elif isinstance(event, StreamClosed):
                        self.seconds = seconds_from_samples(event.received)
        finally:
            self._count(self._read)  # the decoder reads ahead of the events

    def transcript(self, source: str, model: str) -> Transcript:
        """Return what is known so far; `source` and `model` are names to show."""
        return Transcript(source, model, tuple(self._segments))

    def _bounded(self, clips: Iterator[Clip]) -> Iterator[Clip]:
        """A small file may hold hours of silence."""
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
