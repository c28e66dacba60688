"""`convert`: edited subtitles in other formats."""

import subprocess
import sys
from pathlib import Path

import pytest

from cli.__main__ import main
from cli.console import NO_AUDIO, NO_FILE, OK, UNUSABLE
from tests.server.live_server import ROOT

EDITED = "\ufeff1\r\n00:00:01,000 --> 00:00:02,500\r\nA line\r\nas a person broke it\r\n"


def edited(folder: Path, content: bytes = EDITED.encode()) -> str:
    path = folder / "edited.srt"
    path.write_bytes(content)
    return str(path)


@pytest.mark.parametrize(
    ("form", "shown"),
    [
        ("vtt", "00:00:01.000 --> 00:00:02.500\nA line\nas a person broke it\n"),
        ("ass", "A line\\Nas a person broke it"),
        ("text", "A line as a person broke it"),
        ("md", "# edited.srt"),
        ("json", '"start":1.0'),
    ],
)
def test_lines_and_times_stay(
    form: str, shown: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["convert", edited(tmp_path), "--format", form]) == OK
    assert shown in capsys.readouterr().out


def test_stdin_is_read_without_its_formatting() -> None:
    source = "1\n00:00:01,000 --> 00:00:02,000\n{\\an8}<i>Grüße</i>\n".encode()
    command = [sys.executable, "-m", "cli", "convert", "-", "--format", "vtt"]
    ended = subprocess.run(command, cwd=ROOT, input=source, capture_output=True)
    assert (ended.returncode, ended.stderr) == (OK, b"")
    assert ended.stdout.decode() == "WEBVTT\n\n00:00:01.000 --> 00:00:02.000\nGrüße\n"


def test_result_is_written_to_a_file(tmp_path: Path) -> None:
    output = tmp_path / "talk.docx"
    assert main(["convert", edited(tmp_path), "--format", "docx", "--output", str(output)]) == OK
    assert output.read_bytes().startswith(b"PK")
    assert main(["convert", edited(tmp_path), "--format", "srt", "--output", str(tmp_path)]) == NO_FILE


def test_webvtt_is_converted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = edited(tmp_path, b"WEBVTT\n\n00:01.000 --> 00:02.000\n<v Ann>this &amp; that\n")
    assert main(["convert", path, "--format", "srt"]) == OK
    assert capsys.readouterr().out == "1\n00:00:01,000 --> 00:00:02,000\nthis & that\n"


@pytest.mark.parametrize(
    ("content", "message", "code"),
    [
        (b"hello", "line 1: 'hello' is no time", UNUSABLE),
        (b"\xff\xfe", "this is no text in UTF-8", UNUSABLE),
        (b"", "there are no subtitles", UNUSABLE),
        (b"WEBVTT\n\nhello\n00:01.000\n", "line 4", UNUSABLE),
        (None, "none.srt: No such file or directory\n", NO_FILE),
    ],
)
def test_unusable_file_is_reported(
    content: bytes | None, message: str, code: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(tmp_path / "none.srt") if content is None else edited(tmp_path, content)
    assert main(["convert", path, "--format", "vtt"]) == code
    assert message in capsys.readouterr().err


def test_video_without_pictures_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["convert", edited(tmp_path), "--format", "mp4", "--output", str(tmp_path / "shown.mp4")]
    assert main([*command, "--video", str(ROOT / "test.wav")]) == NO_AUDIO
    assert "the file contains no video" in capsys.readouterr().err
    assert main([*command, "--video", edited(tmp_path)]) == NO_AUDIO
    assert main([*command, "--video", str(tmp_path / "none.mp4")]) == NO_FILE
