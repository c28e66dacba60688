"""Map the errors of a file that could not be transcribed to HTTP errors."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from audio.errors import AudioError, NoAudio, StartAfterEnd, UnknownFormat, UnknownTrack, UnreadableFile
from engine.file_transcriber import AudioTooLong, UtteranceFailed
from server.errors import ApiError, invalid
from streaming.errors import SpeakersUnavailable, StreamError

FORMATS: Final = ("flac", "m4a", "mp3", "mp4", "mpeg", "mpga", "oga", "ogg", "wav", "webm")  # OpenAI's list


@contextmanager
def file_errors_as_http() -> Iterator[None]:
    """Turn the exceptions of a FileTranscriber into ApiError."""
    try:
        yield
    except (NoAudio, StartAfterEnd, UnknownTrack) as error:
        raise invalid(str(error), error.param, error.code) from error
    except UnknownFormat as error:
        message = f"Invalid file format. Supported formats: {list(FORMATS)}. ({error})"
        raise invalid(message, "file", error.code) from error
    except UnreadableFile as error:  # Another format would not help.
        raise invalid(f"Invalid file: {error}.", "file", error.code) from error
    except AudioError as error:
        raise invalid(f"Audio file might be corrupted or unsupported: {error}", "file", error.code) from error
    except AudioTooLong as error:
        raise ApiError(413, str(error), param="file", code="audio_too_long") from error
    except UtteranceFailed as error:
        raise ApiError(500, str(error), code="transcription_failed") from error
    except SpeakersUnavailable as error:
        raise ApiError(503, str(error), code="speakers_unavailable") from error
    except StreamError as error:
        raise ApiError(500, str(error), code="internal_error") from error
