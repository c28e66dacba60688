"""FileWork: one file on its way through the models, piece by piece."""

from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager
from typing import IO, Final

from asr.transcript import Segment, Transcript
from audio.clip import Clip, seconds_from_samples
from audio.errors import AudioError, UnreadableFile
from audio.files import decode_file, probe
from server.accounts import Meter
from server.http_error import HttpError, invalid
from server.metrics import Metrics
from stream.errors import StreamError
from stream.events import Closed, Failed
from stream.events import Final as FinalEvent
from stream.models import Models
from stream.offline import transcribe_file
from stream.options import SessionOptions
from stream.thread import to_its_end

FORMATS: Final = ("flac", "m4a", "mp3", "mp4", "mpeg", "mpga", "oga", "ogg", "wav", "webm")  # as OpenAI says


class FileWork:
    """segments, seconds: what was heard, and how much sound there was; whole once `listen` has ended."""

    def __init__(self, file: IO[bytes], max_seconds: float, meter: Meter | None = None) -> None:
        self.seconds = 0.0
        self._meter = meter or Meter()
        self._read = 0  # samples
        self._file = file
        self._max_seconds = max_seconds
        self._segments: list[Segment] = []

    async def check(self) -> None:
        """Looks at the file's beginning. Raises HttpError for no sound, or for more than is allowed."""
        with _as_http_errors():
            info = await to_its_end(probe, self._file)
        self._file.seek(0)
        if info.seconds is not None and info.seconds > self._max_seconds:
            raise self._too_long(info.seconds)

    async def listen(
        self, models: Models, options: SessionOptions, metrics: Metrics
    ) -> AsyncGenerator[Segment, None]:
        """The segments with text, as they become known. To be closed if left early. Raises HttpError."""
        clips = self._bounded(decode_file(self._file))
        with _as_http_errors(), self._metered():
            async with aclosing(transcribe_file(clips, models, options)) as events:
                async for event in events:
                    self._meter.count(self._read)
                    metrics.observe_event(event)
                    if isinstance(event, FinalEvent) and event.hypothesis.text:
                        segment = Segment(event.clip.start, event.clip.end, event.hypothesis)
                        self._segments.append(segment)
                        yield segment
                    elif isinstance(event, Failed):
                        raise _failed(event)
                    elif isinstance(event, Closed):
                        self.seconds = seconds_from_samples(event.received)

    def transcript(self, model: str) -> Transcript:
        return Transcript("", model, tuple(self._segments))

    def _bounded(self, clips: Iterator[Clip]) -> Iterator[Clip]:
        """A small file may hold very much silence."""
        for clip in clips:
            seconds = seconds_from_samples(clip.end)
            if seconds > self._max_seconds:
                raise self._too_long(seconds)
            self._read = clip.end
            yield clip

    @contextmanager
    def _metered(self) -> Iterator[None]:
        try:
            yield
        finally:  # also what was read for nobody
            self._meter.count(self._read)

    def _too_long(self, seconds: float) -> HttpError:
        message = f"Maximum audio length ({self._max_seconds:g} s) exceeded ({seconds:.0f} s of sound)"
        return HttpError(413, message, param="file", code="audio_too_long")


def _failed(event: Failed) -> HttpError:
    """A text with a hole must not pass for what was said."""
    start, end = seconds_from_samples(event.start), seconds_from_samples(event.end)
    message = f"{start:.1f} to {end:.1f} s could not be transcribed: {event.message}"
    return HttpError(500, message, code="transcription_failed")


@contextmanager
def _as_http_errors() -> Iterator[None]:
    try:
        yield
    except UnreadableFile as error:
        message = f"Invalid file format. Supported formats: {list(FORMATS)}. ({error})"
        raise invalid(message, "file", error.code) from error
    except AudioError as error:
        raise invalid(f"Audio file might be corrupted or unsupported: {error}", "file", error.code) from error
    except StreamError as error:
        raise HttpError(500, str(error), code="internal_error") from error
