"""How a request is answered whose file could not be transcribed."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from audio.errors import AudioError, UnreadableFile
from engine.file_transcriber import AudioTooLong, UtteranceFailed
from server.errors import ApiError, invalid
from streaming.errors import StreamError

FORMATS: Final = ("flac", "m4a", "mp3", "mp4", "mpeg", "mpga", "oga", "ogg", "wav", "webm")  # as OpenAI says


@contextmanager
def file_errors_as_http() -> Iterator[None]:
    """Raise what a FileTranscriber raises as HttpError."""
    try:
        yield
    except UnreadableFile as error:
        message = f"Invalid file format. Supported formats: {list(FORMATS)}. ({error})"
        raise invalid(message, "file", error.code) from error
    except AudioError as error:
        raise invalid(f"Audio file might be corrupted or unsupported: {error}", "file", error.code) from error
    except AudioTooLong as error:
        raise ApiError(413, str(error), param="file", code="audio_too_long") from error
    except UtteranceFailed as error:
        raise ApiError(500, str(error), code="transcription_failed") from error
    except StreamError as error:
        raise ApiError(500, str(error), code="internal_error") from error
