"""Test the HTTP errors of files that could not be transcribed."""

import pytest

from audio.errors import NoAudio, UnknownFormat, UnknownTrack, UnreadableFile, UnsupportedSampleRate
from engine.file_transcriber import AudioTooLong, UtteranceFailed
from server.errors import ApiError
from server.protocols.file_errors import file_errors_as_http
from streaming.errors import DetectorFailed
from streaming.events import TranscriptionFailed


@pytest.mark.parametrize(
    ("error", "status", "param", "code", "message"),
    [
        (UnknownFormat("a text"), 400, "file", UnknownFormat.code, "Supported formats: ['flac'"),
        (UnreadableFile("no sound"), 400, "file", UnreadableFile.code, "Invalid file: no sound."),
        (NoAudio(), 400, "file", "audio_too_short", "The file contains no audio."),
        (UnknownTrack(2, 1), 400, "track", "invalid_value", "The file has no audio track 2: it has 1,"),
        (
            UnsupportedSampleRate("1 Hz"),
            400,
            "file",
            "unsupported_sample_rate",
            "corrupted or unsupported: 1 Hz",
        ),
        (AudioTooLong(4, 5), 413, "file", "audio_too_long", "Maximum audio length (4 s) exceeded (5 s of"),
        (
            UtteranceFailed(TranscriptionFailed(0, 16_000, 32_000, "out of memory")),
            500,
            None,
            "transcription_failed",
            "1.0 to 2.0 s could not be transcribed: out of memory",
        ),
        (DetectorFailed("it broke"), 500, None, "internal_error", "it broke"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_each_error_has_its_status_and_code(
    error: Exception, status: int, param: str | None, code: str, message: str
) -> None:
    with pytest.raises(ApiError) as raised, file_errors_as_http():
        raise error
    assert (raised.value.status, raised.value.param, raised.value.code) == (status, param, code)
    assert message in raised.value.message


def test_other_errors_pass_unchanged() -> None:
    with pytest.raises(OSError, match="disk"), file_errors_as_http():
        raise OSError("disk")
