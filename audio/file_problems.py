"""Tell a client why a file could not be read. Pure."""

from typing import Final

from audio.errors import AudioError, NoAudio, StartAfterEnd, UnknownFormat, UnknownTrack, UnreadableFile

FORMATS: Final = ("flac", "m4a", "mp3", "mp4", "mpeg", "mpga", "oga", "ogg", "wav", "webm")  # OpenAI's list


def problem_of(error: AudioError) -> str:
    """Return the sentences for the client; only an unknown format lists those that can be read."""
    match error:
        case NoAudio() | StartAfterEnd() | UnknownTrack():
            return str(error)
        case UnknownFormat():
            return f"Invalid file format. Supported formats: {list(FORMATS)}. ({error})"
        case UnreadableFile():
            return f"Invalid file: {error}."
    return f"Audio file might be corrupted or unsupported: {error}"
