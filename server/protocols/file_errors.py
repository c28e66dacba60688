"""Map the errors of a file that could not be transcribed to HTTP errors."""

from collections.abc import Iterator
from contextlib import contextmanager

from audio.errors import AudioError, StartAfterEnd, UnknownTrack
from audio.file_problems import problem_of
from engine.file_transcriber import AudioTooLong, TooManyChannels, UtteranceFailed
from server.errors import ApiError, invalid
from streaming.errors import SpeakersUnavailable, StreamError


@contextmanager
def file_errors_as_http() -> Iterator[None]:
    """Turn the exceptions of a FileTranscriber into ApiError."""
    try:
        yield
    except AudioError as error:
        param = error.param if isinstance(error, StartAfterEnd | UnknownTrack) else "file"
        raise invalid(problem_of(error), param, error.code) from error
    except AudioTooLong as error:
        raise ApiError(413, str(error), param="file", code="audio_too_long") from error
    except TooManyChannels as error:
        raise invalid(str(error), "multichannel", "too_many_channels") from error
    except UtteranceFailed as error:
        raise ApiError(500, str(error), code="transcription_failed") from error
    except SpeakersUnavailable as error:
        raise ApiError(503, str(error), code="speakers_unavailable") from error
    except StreamError as error:
        raise ApiError(500, str(error), code="internal_error") from error
