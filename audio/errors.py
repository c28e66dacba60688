"""Define the errors in audio that was received, each with the code and the field to report to the client."""

from typing import ClassVar


class AudioError(Exception):
    """Base class of all errors of this package.

    code: the error code of docs/protocol.md, for programs
    param: the field of the message that is wrong
    """

    code: ClassVar[str] = "invalid_value"
    param: ClassVar[str] = "audio"


class UnsupportedEncoding(AudioError):
    """The requested encoding is not supported; no audio was decoded."""


class UnsupportedFormat(UnsupportedEncoding):
    """The sample format is not supported."""

    param = "format"


class UnsupportedSampleRate(UnsupportedEncoding):
    """The sample rate is not supported."""

    code = "unsupported_sample_rate"
    param = "sample_rate"


class UnsupportedChannels(UnsupportedEncoding):
    """The number of channels is not supported."""

    param = "channels"


class InvalidAudio(AudioError):
    """The bytes are not audio in the stated encoding."""

    code = "invalid_audio"


class UnreadableFile(InvalidAudio):
    """The file is of an unknown format, or damaged from the start."""

    param = "file"


class UnknownFormat(UnreadableFile):
    """The file is of no format that can be read: a text, a picture, or damaged from the start."""


class NoAudio(InvalidAudio):
    """The file is empty, contains only a header, or has no audio track. The code is OpenAI's."""

    code = "audio_too_short"
    param = "file"

    def __init__(self) -> None:
        super().__init__("The file contains no audio.")


class UnknownTrack(AudioError):
    """The file has no audio track with the requested index."""

    param = "track"

    def __init__(self, track: int, count: int) -> None:
        super().__init__(f"The file has no audio track {track}: it has {count}, counted from 0.")


class StartAfterEnd(AudioError):
    """The part of a file that was requested begins after its end; start, seconds: in seconds."""

    param = "start"

    def __init__(self, start: float, seconds: float) -> None:
        super().__init__(f"The start, {start:g} s, is after the end of the file, which has {seconds:.2f} s.")


class SampleBufferFull(AudioError):
    """The buffer is full; none of the samples was accepted."""

    code = "buffer_overflow"
