"""What can be wrong with sound that came in: one tree, each error with the code and field for the client."""

from typing import ClassVar


class AudioError(Exception):
    """Root of the errors of this room.

    code: what programs compare, a name of docs/protocol.md; param: the field of the message that is wrong
    """

    code: ClassVar[str] = "invalid_value"
    param: ClassVar[str] = "audio"


class UnsupportedEncoding(AudioError):
    """Nothing can be decoded as asked; the audio that came along was not looked at."""


class UnsupportedFormat(UnsupportedEncoding):
    param = "format"


class UnsupportedSampleRate(UnsupportedEncoding):
    code = "unsupported_sample_rate"
    param = "sample_rate"


class UnsupportedChannels(UnsupportedEncoding):
    param = "channels"


class InvalidAudio(AudioError):
    """The bytes are not sound in the encoding that was named."""

    code = "invalid_audio"


class UnreadableFile(InvalidAudio):
    """No sound can be got out of the file: it is empty, no container of sound, or broken from the start."""

    param = "file"


class DamagedFile(InvalidAudio):
    """Some of the file's sound is lost. All that could be decoded was handed out before."""

    param = "file"


class SampleBufferFull(AudioError):
    """There is no room for these samples; none of them was taken in."""

    code = "buffer_overflow"
