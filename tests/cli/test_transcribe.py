"""`transcribe`: what it prints, what it writes, and what it returns."""

import json
import wave
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from rich.progress import Progress

from asr.recognizer import Hypothesis, RecognitionRequest
from audio.clip import Samples
from cli.__main__ import FORMATS, main
from cli.console import FAILED, UNUSABLE
from cli.transcribe import SUFFIXES, WRITERS, FileQueue
from streaming.options import SessionOptions
from tests.asr import tiny
from tests.audio.test_files import two_tracks
from tests.cli.running import ROOT, command
from tests.streaming.fakes import sound
from tests.streaming.working_models import Recognizer, models
from transcripts.transcript import Transcript, json_of

SECOND = 16_000
TALK = sound((False, SECOND), (True, SECOND), (False, SECOND), (True, 2 * SECOND), (False, SECOND))


def write_wav(path: Path, samples: Samples) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SECOND)
        file.writeframes((samples * 32767).astype("<i2").tobytes())
    return path


class Refusing(Recognizer):
    """Fail on clips of more than two seconds."""

    def transcribe(self, requests: Sequence[RecognitionRequest]) -> list[Hypothesis]:
        if any(request.clip.seconds > 2 for request in requests):
            raise RuntimeError("out of memory")
        return super().transcribe(requests)


class Counter:
    """Return what FileQueue writes, and whether a file failed."""

    def __init__(self) -> None:
        self.kept: list[Transcript] = []
        self.failed = False

    async def serve(
        self, *paths: Path, recognizer: Recognizer | None = None, track: int | None = None
    ) -> list[Transcript | None]:
        async with models(recognizer) as shared:
            bars = Progress(disable=True)
            files = FileQueue(shared, "little", SessionOptions(), bars, self.kept.append, track)
            transcripts = [await files.transcribe(path) for path in paths]
        self.failed = files.failed
        return transcripts


async def test_a_file_becomes_a_transcript_in_the_order_of_speech(tmp_path: Path) -> None:
    counter = Counter()
    (transcript,) = await counter.serve(write_wav(tmp_path / "talk.wav", TALK))
    assert transcript is not None
    assert counter.kept == [transcript]
    assert not counter.failed
    assert (transcript.source, transcript.model) == (str(tmp_path / "talk.wav"), "little")
    first, second = transcript.segments
    assert first.start < SECOND < 2 * SECOND <= first.end <= second.start < 3 * SECOND < second.end


async def test_failed_file_is_reported_and_others_are_transcribed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "text.wav").write_text("no sound at all")
    counter = Counter()
    talk = write_wav(tmp_path / "talk.wav", TALK)
    none, text, transcript = await counter.serve(tmp_path / "none.wav", tmp_path / "text.wav", talk)
    assert (none, text) == (None, None)
    assert transcript is not None
    assert counter.failed
    missing, unreadable = capsys.readouterr().err.splitlines()
    assert "none.wav" in missing
    assert "No such file" in missing
    assert "text.wav: the file is not audio or video" in unreadable


async def test_damaged_file_is_transcribed_with_a_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import av

    path = tmp_path / "talk.flac"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("flac", rate=SECOND, layout="mono")
        assert isinstance(stream, av.AudioStream)
        frame = av.AudioFrame.from_ndarray((TALK * 32767).astype(np.int16)[np.newaxis], "s16", "mono")
        frame.sample_rate, frame.pts = SECOND, 0
        output.mux([*stream.encode(frame), *stream.encode(None)])
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    counter = Counter()
    (transcript,) = await counter.serve(path)
    assert transcript is not None
    assert len(transcript.segments) >= 1
    assert not counter.failed
    assert "talk.flac: warning: The file is incomplete" in capsys.readouterr().err


async def test_tracks_are_listed_and_can_be_chosen(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "film.mkv"
    path.write_bytes(two_tracks())
    counter = Counter()
    (usual,) = await counter.serve(path)
    assert capsys.readouterr().err == (
        f"stt: {path}: 2 audio tracks: 0 (fra, Track 0, channels: 1), "
        "1 (eng, Track 1, channels: 1, default); track 1 is used\n"
    )
    (chosen,) = await counter.serve(path, track=0)
    assert capsys.readouterr().err == ""
    assert usual is not None
    assert chosen is not None
    assert [json.loads(json_of(each))["track"] for each in (usual, chosen)] == [1, 0]
    assert await counter.serve(path, track=2) == [None]
    assert "The file has no audio track 2: it has 2, counted from 0." in capsys.readouterr().err


async def test_failed_utterance_is_reported_and_others_are_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    counter = Counter()
    (transcript,) = await counter.serve(write_wav(tmp_path / "talk.wav", TALK), recognizer=Refusing())
    assert transcript is not None
    assert len(transcript.segments) == 1
    assert counter.failed
    assert "2.7 to 5.1 s could not be transcribed: RuntimeError: out of memory" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["transcribe"],
        ["transcribe", "a.wav", "--format", "doc"],
        ["transcribe", "a.wav", "b.wav", "--format", "srt"],
        ["transcribe", "a.wav", "a.mp3", "--output-dir", "out"],
    ],
)
def test_invalid_arguments_print_the_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        main(arguments)
    assert raised.value.code == UNUSABLE
    assert "usage: python -m cli" in capsys.readouterr().err
    assert not Path("out").exists()


def test_each_format_has_a_writer_and_a_suffix() -> None:
    assert list(FORMATS) == list(WRITERS) == list(SUFFIXES)


@pytest.mark.slow
def test_files_are_transcribed_for_real(tmp_path: Path) -> None:
    """One file is missing, and the others are transcribed with PocketSphinx."""
    copy = tmp_path / "copy.wav"
    copy.write_bytes((ROOT / "test.wav").read_bytes())
    told = command(
        *("transcribe", ROOT / "test.wav", copy, tmp_path / "none.wav"),
        *("--model", "pocketsphinx", "--format", "json", "--words", "--output-dir", tmp_path / "out"),
    )
    assert told.returncode == FAILED
    assert "none.wav" in told.stderr
    assert told.stdout == ""
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["copy.json", "test.json"]
    document = json.loads((tmp_path / "out" / "test.json").read_text())
    assert document["model"] == "pocketsphinx"
    lines = [segment["text"] for segment in document["segments"]]
    assert lines == (ROOT / "test.txt").read_text().splitlines()
    words = [word for segment in document["segments"] for word in segment["words"]]
    assert " ".join(word["word"] for word in words) == " ".join(lines)
    assert all(word["start"] < word["end"] for word in words)


@pytest.mark.slow
def test_missing_device_is_reported(tmp_path: Path) -> None:
    told = command("transcribe", "test.wav", "--model", tiny.moonshine(tmp_path), "--device", "abacus")
    assert told.returncode == UNUSABLE
    assert told.stderr.startswith(f"stt: {tmp_path}")
    assert "cannot be loaded" in told.stderr
    assert "Traceback" not in told.stderr


@pytest.mark.slow
def test_missing_model_is_reported() -> None:
    told = command("transcribe", "test.wav", "--model", "org/name", HF_HUB_OFFLINE="1")
    assert told.returncode == UNUSABLE
    assert told.stderr.startswith("stt: org/name is neither a folder nor in the cache")
    assert told.stdout == ""
