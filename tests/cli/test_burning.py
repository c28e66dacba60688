"""Subtitles are drawn into the picture by ffmpeg, whatever the names of the files are."""

import asyncio
from pathlib import Path

import av
import numpy as np
import pytest

from cli.__main__ import main
from cli.burning import BurningFailed, CannotBurn, SubtitleBurner
from cli.console import NO_FILE, OK, UNUSABLE
from tests.audio.videos import plain, write_video
from tests.waiting import until
from transcripts.cues import Cue
from transcripts.subtitles import write_ass, write_srt

NAMES = ["talk.mp4", 'it\'s a: "talk" [1], 50%; über.mp4', "-y.mp4", "http:x\\n'.mp4"]
CUES = [Cue(400, 1_200, ("HELLO", "WORLD"))]


@pytest.fixture(scope="module")
def burner() -> SubtitleBurner:
    """Return a burner; skip where ffmpeg cannot draw text."""
    if not any(Path("/usr/share/fonts").rglob("*.[ot]tf")):
        pytest.skip("there is no font in /usr/share/fonts")
    found = SubtitleBurner()
    try:
        asyncio.run(found.check())
    except CannotBurn as error:
        pytest.skip(str(error))
    return found


def contrast(path: Path) -> list[float]:
    """Return the standard deviation of the pixels of each picture."""
    with av.open(str(path)) as video:
        return [float(frame.to_ndarray(format="gray").std()) for frame in video.decode(video=0)]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def process_of(file: Path) -> int | None:
    """Return the number of a process that wrote it to a file; None if it has not, or has ended."""
    text = file.read_text() if file.exists() else ""
    is_running = text.endswith("\n") and Path(f"/proc/{text.strip()}").exists()
    return int(text) if is_running else None


def program(folder: Path, script: str) -> str:
    """Return the path of a program that stands in for ffmpeg."""
    path = folder / "ffmpeg"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize("name", NAMES)
async def test_cue_is_in_the_picture_at_its_time(name: str, burner: SubtitleBurner, tmp_path: Path) -> None:
    folder = tmp_path / "it's a: folder"
    folder.mkdir()
    video = write_video(folder / "made.mp4", [plain(40)] * 40).rename(folder / name)
    output = tmp_path / f"out {name}"
    reached: list[float] = []
    await SubtitleBurner().burn(video, write_ass(CUES), output, reached.append)
    pictures = contrast(output)
    assert len(pictures) == 40
    shown = [number for number, value in enumerate(pictures) if value > 1]
    assert shown == list(range(10, 30))
    assert reached[-1] > 1
    with av.open(str(output)) as written:
        assert [stream.codec_context.name for stream in written.streams.audio] == ["aac"]
    assert names(tmp_path) == sorted([folder.name, output.name])


async def test_file_without_pictures_is_an_error_that_leaves_nothing(
    burner: SubtitleBurner, tmp_path: Path
) -> None:
    (tmp_path / "talk.mp4").write_bytes(b"no video")
    with pytest.raises(BurningFailed, match=r"ffmpeg failed \(1\): [\s\S]*Invalid data"):
        await burner.burn(tmp_path / "talk.mp4", write_ass(CUES), tmp_path / "out.mp4")
    assert names(tmp_path) == ["talk.mp4"]


async def test_video_itself_is_not_overwritten(tmp_path: Path) -> None:
    video = tmp_path / "talk.mp4"
    video.write_bytes(b"precious")
    with pytest.raises(BurningFailed, match="is the video itself"):
        await SubtitleBurner().burn(video, write_ass(CUES), tmp_path / "." / "talk.mp4")
    assert video.read_bytes() == b"precious"


async def test_cancelling_ends_ffmpeg_and_leaves_nothing(tmp_path: Path) -> None:
    script = (
        'case "$*" in *-filters*) echo " ... subtitles V->V x"; exit;; esac\necho $$ > pid; exec sleep 300'
    )
    ffmpeg = program(tmp_path, script.replace("pid", str(tmp_path / "pid")))
    video = tmp_path / "talk.mp4"
    video.write_bytes(b"video")
    work = asyncio.create_task(SubtitleBurner(ffmpeg).burn(video, write_ass(CUES), tmp_path / "out.mp4"))
    await until(lambda: process_of(tmp_path / "pid"))
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert process_of(tmp_path / "pid") is None
    assert names(tmp_path) == ["ffmpeg", "pid", "talk.mp4"]


async def test_result_that_reaches_its_bound_is_an_error(tmp_path: Path) -> None:
    script = (
        'case "$*" in *-filters*) echo " ... subtitles V->V x"; exit;; esac\n'
        'for last; do :; done\ntruncate -s 400M "${last#file:}"'
    )
    video = tmp_path / "talk.mp4"
    video.write_bytes(b"video")
    with pytest.raises(BurningFailed, match=r"more than \d+ bytes"):
        await SubtitleBurner(program(tmp_path, script)).burn(video, "", tmp_path / "out.mp4")
    assert names(tmp_path) == ["ffmpeg", "talk.mp4"]


async def test_missing_ffmpeg_is_named(tmp_path: Path) -> None:
    with pytest.raises(CannotBurn, match="needs ffmpeg, which is not installed"):
        await SubtitleBurner(str(tmp_path / "ffmpeg")).check()


async def test_ffmpeg_without_the_filter_is_named(tmp_path: Path) -> None:
    ffmpeg = program(tmp_path, 'echo " ... subtitlesx V->V x"')
    with pytest.raises(CannotBurn, match="with the filter subtitles"):
        await SubtitleBurner(ffmpeg).check()


async def test_ffmpeg_is_asked_for_its_filters_once(tmp_path: Path) -> None:
    asked = tmp_path / "asked"
    script = (
        f'case "$*" in *-filters*) echo one >> {asked}; echo " ... subtitles V->V x"; exit;; esac\n'
        'for last; do :; done\ntouch "${last#file:}"'
    )
    burner = SubtitleBurner(program(tmp_path, script))
    await burner.check()
    for number in range(2):
        (tmp_path / f"{number}.mp4").write_bytes(b"video")
        await burner.burn(tmp_path / f"{number}.mp4", "", tmp_path / f"out{number}.mp4")
    assert asked.read_text() == "one\n"


def test_edited_subtitles_are_drawn_into_a_video(burner: SubtitleBurner, tmp_path: Path) -> None:
    video = write_video(tmp_path / "talk.mp4", [plain(40)] * 40)
    (tmp_path / "talk.srt").write_text(write_srt(CUES), encoding="utf-8")
    arguments = ["convert", str(tmp_path / "talk.srt"), "--format", "mp4"]
    out = tmp_path / "out.mp4"
    assert main([*arguments, "--video", str(video), "--output", str(out)]) == OK
    assert np.argmax(np.array(contrast(out)) > 1) == 10
    missing = str(tmp_path / "none.mp4")
    assert main([*arguments, "--video", missing, "--output", str(out)]) == NO_FILE
    assert out.exists()
    with pytest.raises(SystemExit) as usage:
        main([*arguments, "--output", str(out)])
    assert usage.value.code == UNUSABLE
