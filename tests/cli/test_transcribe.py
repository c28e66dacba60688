"""`transcribe`: what it prints, what it writes, and what it returns."""

import argparse
import io
import json
import subprocess
import sys
import wave
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.progress import Progress

import cli.__main__
import diarization.clustering
from asr.recognizer import Hypothesis, RecognitionRequest
from audio.clip import Samples, samples_from_ms
from cli.__main__ import FORMATS, main, silence
from cli.console import FAILED, NO_AUDIO, NO_FILE, OK, UNUSABLE
from cli.transcribe import (
    MP4,
    SUBTITLES,
    SUFFIXES,
    AudioFile,
    FileQueue,
    Result,
    content_of,
    output_names,
    session_options,
    write_text,
)
from engine.file_diarizer import DiarizationOptions
from engine.file_transcriber import WHOLE, TimeRange
from postprocessing.options import REDACTIONS, TextOptions
from postprocessing.summary_types import Chapter, Chapters, Summary
from streaming.options import SessionOptions
from tests.asr import tiny
from tests.asr.spoken import SENTENCES, read
from tests.audio.test_files import two_tracks
from tests.audio.videos import plain, write_video
from tests.cli.running import ROOT, command, command_reading
from tests.diarization.voices import RuleClient
from tests.streaming.fakes import sound
from tests.streaming.working_models import Recognizer, models
from transcripts.transcript import Transcript, TranscriptSegment, json_of, text_of
from vad.options import VadOptions

SECOND = 16_000
FIRST = read(ROOT / "test.wav").samples[: samples_from_ms(3_600)]  # a sentence and a pause
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

    def __init__(self, within: TimeRange = WHOLE) -> None:
        self._within = within
        self.kept: list[tuple[Transcript, str]] = []
        self.exit_code = OK
        self.summary = ""

    async def serve(
        self, *paths: Path, recognizer: Recognizer | None = None, track: int | None = None
    ) -> list[Transcript | None]:
        files = [AudioFile(str(path), path, path.stem) for path in paths]
        return await self.serve_files(files, recognizer, track)

    async def serve_files(
        self, files: Sequence[AudioFile], recognizer: Recognizer | None = None, track: int | None = None
    ) -> list[Transcript | None]:
        async with models(recognizer) as shared:
            bars = Progress(disable=True)
            queue = FileQueue(shared, "little", SessionOptions(), bars, self.keep, track, self._within)
            transcripts = [await queue.transcribe(file) for file in files]
        self.exit_code, self.summary = queue.exit_code, queue.summary(len(files))
        return transcripts

    async def keep(self, result: Result, file: AudioFile) -> None:
        self.kept.append((result.transcript, file.output))


async def test_files_without_speech_are_named_and_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    silence = write_wav(tmp_path / "silence.wav", sound((False, 2 * SECOND)))
    talk = write_wav(tmp_path / "talk.wav", TALK)
    counter = Counter()
    await counter.serve(silence, talk, tmp_path / "none.wav")
    first, second = capsys.readouterr().err.splitlines()
    assert first == f"stt: {silence}: no speech was heard"
    assert "No such file" in second
    assert counter.summary == "3 files, 2 transcribed (1 without speech), 1 failed"


async def test_a_file_becomes_a_transcript_in_the_order_of_speech(tmp_path: Path) -> None:
    counter = Counter()
    (transcript,) = await counter.serve(write_wav(tmp_path / "talk.wav", TALK))
    assert transcript is not None
    assert counter.kept == [(transcript, "talk")]
    assert counter.exit_code == OK
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
    assert counter.exit_code == FAILED
    missing, unreadable = capsys.readouterr().err.splitlines()
    assert missing == f"stt: {tmp_path / 'none.wav'}: No such file or directory"
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
    assert counter.exit_code == OK
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


class Endless(Recognizer):
    """Write a loop for every clip."""

    def transcribe(self, requests: Sequence[RecognitionRequest]) -> list[Hypothesis]:
        return [Hypothesis("well " + "no " * 90) for _ in requests]


async def test_filtered_text_is_a_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    counter = Counter()
    (transcript,) = await counter.serve(write_wav(tmp_path / "talk.wav", TALK), recognizer=Endless())
    assert transcript is not None
    assert transcript.text.count("no") == 10
    assert counter.exit_code == OK
    first, _ = capsys.readouterr().err.splitlines()
    assert first.endswith("talk.wav: warning: 0.7 to 2.1 s: a repeated phrase was shortened (repetition)")


async def test_failed_utterance_is_reported_and_others_are_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    counter = Counter()
    (transcript,) = await counter.serve(write_wav(tmp_path / "talk.wav", TALK), recognizer=Refusing())
    assert transcript is not None
    assert len(transcript.segments) == 1
    assert counter.exit_code == FAILED
    assert "2.7 to 5.1 s could not be transcribed: RuntimeError: out of memory" in capsys.readouterr().err


async def test_each_kind_of_failure_has_its_exit_code(tmp_path: Path) -> None:
    (tmp_path / "text.wav").write_text("no sound at all")
    (tmp_path / "empty.wav").write_bytes(b"")
    talk = write_wav(tmp_path / "talk.wav", TALK)
    counter = Counter()
    for paths, code in [
        ((tmp_path / "none.wav", tmp_path), NO_FILE),
        ((tmp_path / "text.wav", tmp_path / "empty.wav", talk), NO_AUDIO),
        ((tmp_path / "none.wav", tmp_path / "text.wav"), FAILED),
        ((talk,), OK),
    ]:
        await counter.serve(*paths)
        assert counter.exit_code == code
    await counter.serve(talk, track=1)
    assert counter.exit_code == NO_AUDIO


async def test_a_file_without_audio_has_one_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = [tmp_path / "empty.wav", write_wav(tmp_path / "header.wav", np.empty(0, np.float32))]
    paths[0].write_bytes(b"")
    assert await Counter().serve(*paths) == [None, None]
    assert capsys.readouterr().err.splitlines() == [
        f"stt: {path}: The file contains no audio." for path in paths
    ]


async def test_transcript_is_delivered_before_the_next_file(tmp_path: Path) -> None:
    talk = write_wav(tmp_path / "talk.wav", TALK)
    counter = Counter()
    delivered: list[int] = []

    class Noting(Recognizer):
        def transcribe(self, requests: Sequence[RecognitionRequest]) -> list[Hypothesis]:
            delivered.append(len(counter.kept))
            return super().transcribe(requests)

    await counter.serve(talk, talk, recognizer=Noting())
    assert (delivered[0], delivered[-1], len(counter.kept)) == (0, 1, 2)


async def test_an_open_file_is_transcribed_like_a_path(tmp_path: Path) -> None:
    talk = write_wav(tmp_path / "talk.wav", TALK)
    counter = Counter()
    copy = AudioFile("-", io.BytesIO(talk.read_bytes()), "stdin")
    one, other = await counter.serve_files([AudioFile("-", talk, "talk"), copy])
    assert one == other


async def test_result_that_cannot_be_written_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def refuse(result: Result, file: AudioFile) -> None:
        raise PermissionError("read-only")

    talk = write_wav(tmp_path / "talk.wav", TALK)
    async with models() as shared:
        queue = FileQueue(shared, "little", SessionOptions(), Progress(disable=True), refuse)
        assert await queue.transcribe(AudioFile("talk.wav", talk, "talk")) is None
    assert queue.exit_code == NO_FILE
    assert capsys.readouterr().err == "stt: talk.wav: read-only\n"


def test_outputs_of_equal_stems_have_different_names() -> None:
    paths = [Path(name) for name in ("a.wav", "b/a.mp3", "c/a.wav", "talk.mp3", "-", "stdin", "a.wav.ogg")]
    assert output_names(paths) == ["a.wav", "a.mp3", "a.wav-2", "talk", "stdin", "stdin-2", "a.wav.ogg"]


@given(st.lists(st.sampled_from(["a", "a.b", "a.b.c", "x/a.b", "-", "stdin", "a.b-2"]), max_size=8))
def test_outputs_never_share_a_name(names: list[str]) -> None:
    found = output_names([Path(name) for name in names])
    assert len(set(found)) == len(found) == len(names)


@pytest.mark.parametrize(
    ("encoding", "form", "shown"),
    [
        ("cp1252", "text", "caf\u00e9 ?\n"),
        ("ascii", "srt", "caf? ?\n"),
        ("utf-8", "text", "caf\u00e9 \u5348\n"),
    ],
)
def test_a_narrow_encoding_replaces_characters(
    encoding: str, form: str, shown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    output = io.TextIOWrapper(io.BytesIO(), encoding)
    write_text(output, "caf\u00e9 \u5348\n", form)
    assert output.buffer.getvalue().decode(encoding) == shown
    assert (encoding in capsys.readouterr().err) == (encoding != "utf-8")


def test_a_narrow_encodingkeeps_json(capsys: pytest.CaptureFixture[str]) -> None:
    output = io.TextIOWrapper(io.BytesIO(), "cp1252")
    write_text(output, '{"text":"\U0001f600 \u5348"}\n', "json")
    assert json.loads(output.buffer.getvalue()) == {"text": "\U0001f600 \u5348"}
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["transcribe"],
        ["transcribe", "a.wav", "--format", "doc"],
        ["transcribe", "a.wav", "b.wav", "--format", "srt"],
        ["transcribe", "a.wav", "--format", "docx"],
        ["transcribe", "a.wav", "--format", "srt", "--summarize"],
        ["transcribe", "a.wav", "--format", "text", "--chapters"],
        ["transcribe", "a.wav", "--start", "3", "--end", "2"],
        ["transcribe", "a.wav", "--redact", "names"],
        ["convert", "a.srt"],
        ["transcribe", "-", "a.wav", "-", "--output-dir", "out"],
        ["transcribe", "a.wav", "--chunking", "soon"],
        ["transcribe", "a.wav", "--chunking", "999999999"],
    ],
)
def test_invalid_arguments_print_the_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        main(arguments)
    assert raised.value.code == UNUSABLE
    assert "usage: python -m cli" in capsys.readouterr().err
    assert not Path("out").exists()


def test_each_format_has_a_suffix() -> None:
    assert list(FORMATS) == list(SUFFIXES)


def test_redactions_are_those_of_the_texts() -> None:
    assert cli.__main__.REDACTIONS == REDACTIONS


HELLO = Transcript("talk.wav", "little", (TranscriptSegment(0, SECOND, Hypothesis("Hello.")),))


@pytest.mark.parametrize("form", [form for form in FORMATS if form != MP4])
def test_each_format_has_the_text_and_the_summary(form: str) -> None:
    args = argparse.Namespace(format=form, words=False)
    content = content_of(Result(HELLO, Summary("A greeting.", "extractive")), args)
    if form == "docx":
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            content = archive.read("word/document.xml")
    assert b"Hello." in content
    assert (b"A greeting." in content) == (form not in SUBTITLES)


@pytest.mark.parametrize("form", ["json", "md"])
def test_formats_with_headings_have_the_chapters(form: str) -> None:
    args = argparse.Namespace(format=form, words=False)
    chapters = Chapters((Chapter(0.0, "Begin"),), "small")
    content = content_of(Result(HELLO, None, chapters), args).decode()
    if form == "md":
        assert "## Begin\n" in content
    else:
        found = json.loads(content)["chapters"]
        assert found == {"items": [{"start": 0.0, "title": "Begin"}], "model": "small"}


async def test_part_of_a_file_is_transcribed(tmp_path: Path) -> None:
    (transcript,) = await Counter(TimeRange(2.5)).serve(write_wav(tmp_path / "talk.wav", TALK))
    assert transcript is not None
    (segment,) = transcript.segments
    assert 2.5 * SECOND < segment.start < 3 * SECOND


async def test_cuts_of_the_picture_are_sought_for_subtitles(tmp_path: Path) -> None:
    video = write_video(tmp_path / "shots.mp4", [plain(30)] * 10 + [plain(220)] * 10)
    async with models(None) as shared:
        kept = Counter()
        queue = FileQueue(shared, "little", SessionOptions(), Progress(disable=True), kept.keep, cuts=True)
        transcript = await queue.transcribe(AudioFile("shots", video, "shots"))
    assert transcript is not None
    assert transcript.cuts == (SECOND * 10 // 25,)


async def test_sound_without_pictures_is_an_error_where_a_video_is_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    talk = write_wav(tmp_path / "talk.wav", TALK)
    async with models(None) as shared:
        kept = Counter()
        queue = FileQueue(shared, "little", SessionOptions(), Progress(disable=True), kept.keep, video=True)
        assert await queue.transcribe(AudioFile("talk.wav", talk, "talk")) is None
    assert queue.exit_code == NO_AUDIO
    assert "talk.wav: the file contains no video" in capsys.readouterr().err


@pytest.mark.slow
def test_files_are_transcribed_for_real(tmp_path: Path) -> None:
    """One file is missing, and the others are transcribed with PocketSphinx."""
    first = write_wav(tmp_path / "first.wav", FIRST)
    told = command(
        *("transcribe", ROOT / "test.wav", first, tmp_path / "none.wav"),
        *("--model", "pocketsphinx", "--format", "json", "--words", "--output-dir", tmp_path / "out"),
    )
    assert told.returncode == NO_FILE
    assert "none.wav" in told.stderr
    assert told.stdout == ""
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["first.json", "test.json"]
    document = json.loads((tmp_path / "out" / "test.json").read_text())
    assert document["model"] == "pocketsphinx"
    lines = [segment["text"] for segment in document["segments"]]
    assert lines == (ROOT / "test.txt").read_text().splitlines()
    words = [word for segment in document["segments"] for word in segment["words"]]
    assert " ".join(word["word"] for word in words) == " ".join(lines)
    assert all(word["start"] < word["end"] for word in words)


@pytest.mark.slow
def test_stdin_is_transcribed_for_real(tmp_path: Path) -> None:
    sound = write_wav(tmp_path / "first.wav", FIRST).read_bytes()
    told = command_reading(sound, "transcribe", "-", "--model", "pocketsphinx", PYTHONIOENCODING="cp1252")
    assert (told.returncode, told.stdout) == (OK, f"{SENTENCES[0][2]}\n")


@pytest.mark.parametrize(
    ("chunking", "expected"),
    [
        ("auto", SessionOptions().for_file().vad),
        ("700", replace(SessionOptions().vad, silence_ms=700)),
    ],
)
def test_chunking_chooses_the_silence_that_ends_a_segment(chunking: str, expected: VadOptions) -> None:
    args = argparse.Namespace(
        language=None, prompt=None, chunking=silence(chunking), redact=["pci"], profanity_filter=True
    )
    options = session_options(args)
    assert options.vad == expected
    assert options.text == TextOptions(profanity_filter=True, redact=("pci",))


@pytest.mark.slow
def test_closed_output_ends_the_command_quietly() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "cli", "transcribe", "test.wav", "--model", "free"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert (process.wait(120), process.stderr.read()) == (FAILED, b"")


@pytest.mark.slow
def test_missing_device_is_reported(tmp_path: Path) -> None:
    told = command("transcribe", "test.wav", "--model", tiny.moonshine(tmp_path), "--device", "abacus")
    assert told.returncode == UNUSABLE
    assert told.stderr.startswith(f"stt: {tmp_path}")
    assert "cannot be loaded" in told.stderr
    assert "Traceback" not in told.stderr


@pytest.mark.slow
def test_missing_model_of_the_environment_is_reported() -> None:
    told = command("transcribe", "test.wav", ASR_MODEL="org/name", HF_HUB_OFFLINE="1")
    assert told.returncode == UNUSABLE
    assert told.stderr.startswith("stt: org/name is neither a folder nor in the cache")
    assert told.stdout == ""


async def test_speakers_are_distinguished_on_request(tmp_path: Path) -> None:
    silence = sound((False, 4 * SECOND))
    talk = np.concatenate([silence, sound((True, 3 * SECOND)), silence, -sound((True, 3 * SECOND)), silence])
    path = write_wav(tmp_path / "talk.wav", talk)
    async with models() as shared:
        speaking = replace(shared, speakers=RuleClient())
        queue = FileQueue(
            speaking,
            "little",
            SessionOptions(),
            Progress(disable=True),
            Counter().keep,
            diarization=DiarizationOptions(),
        )
        transcript = await queue.transcribe(AudioFile(str(path), path, path.stem))
    assert transcript is not None
    assert [line[:3] for line in text_of(transcript).splitlines()] == ["A: ", "B: "]
    assert [each["speaker"] for each in json.loads(json_of(transcript))["segments"]] == ["A", "B"]


@pytest.mark.parametrize("diarize", [["--diarize"], []])
def test_contradicting_numbers_of_speakers_are_refused(
    capsys: pytest.CaptureFixture[str], diarize: list[str]
) -> None:
    with pytest.raises(SystemExit) as exit:
        main(["transcribe", *diarize, "--min-speakers", "3", "--max-speakers", "2", "x.wav"])
    assert exit.value.code == UNUSABLE
    assert "3 to 2" in capsys.readouterr().err


def test_parser_knows_the_greatest_number_of_speakers() -> None:
    assert cli.__main__.MAX_SPEAKERS == diarization.clustering.MAX_SPEAKERS
