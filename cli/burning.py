"""Draw subtitles into the picture of a video with ffmpeg, a program that the user installs."""

import asyncio
import shutil
import tempfile
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from audio.files import FORMATS

INPUT: Final = ("-protocol_whitelist", "file", "-format_whitelist", ",".join(FORMATS))
# Most players show 4:2:0 with even sizes only. Without a choice, ffmpeg takes its best encoder for MP4.
FILTERS: Final = "crop=trunc(iw/2)*2:trunc(ih/2)*2,subtitles=subtitles.ass,format=yuv420p"
OUTPUT: Final = ("-c:a", "aac", "-movflags", "+faststart", "-f", "mp4")
MAX_BYTES_PER_BYTE: Final = 4  # of the video as it was
SPARE_BYTES: Final = 256 << 20  # more, for a short video
MAX_ERROR_BYTES: Final = 64 << 10  # of ffmpeg's messages; the last ones are kept
SHOWN_CHARS: Final = 300
STOP_SECONDS: Final = 5.0  # for ffmpeg to end by itself


class BurningFailed(Exception):
    """The subtitles could not be drawn into the picture."""


class CannotBurn(BurningFailed):
    """This machine lacks ffmpeg, or its ffmpeg cannot draw subtitles."""


class SubtitleBurner:
    """Draw subtitles into videos, one after the other, because ffmpeg uses all cores.

    program: name or path of ffmpeg
    """

    def __init__(self, program: str = "ffmpeg") -> None:
        self._program = program
        self._slot = asyncio.Semaphore(1)
        self._is_checked = False

    async def check(self) -> None:
        """Raise CannotBurn if ffmpeg is missing or was built without its filter for subtitles.

        Once it can draw them it is not asked again.
        """
        if self._is_checked:
            return
        if shutil.which(self._program) is None:
            raise CannotBurn("mp4 needs ffmpeg, which is not installed (apt-get install ffmpeg)")
        process = await self._start("-filters", folder=None)
        listed, _ = await process.communicate()
        if not any(line.split()[1:2] == [b"subtitles"] for line in listed.splitlines()):
            raise CannotBurn("mp4 needs an ffmpeg with the filter subtitles (built with libass)")
        self._is_checked = True

    async def burn(
        self, video: Path, ass: str, output: Path, on_progress: Callable[[float], None] = lambda seconds: None
    ) -> None:
        """Write a video as MP4 with subtitles in its picture; all its audio tracks are kept, as AAC.

        Nothing is left at `output` by work that fails or is cancelled; a file that was there before stays.

        ass: the subtitles as ASS, with the times of the video
        on_progress: called with the seconds of the video that are written

        Raises BurningFailed, CannotBurn and OSError.
        """
        limit = _limit(video, output)
        async with self._slot:
            await self.check()
            part = output.with_name(f"{output.name}.part")
            # The filter would need its own escapes for a path, so it gets a name without a folder.
            with tempfile.TemporaryDirectory() as folder:
                (Path(folder) / "subtitles.ass").write_text(ass, encoding="utf-8")
                try:
                    await self._run(Path(folder), video, part, limit, on_progress)
                    if part.stat().st_size >= limit:
                        raise BurningFailed(f"{video}: the result would have more than {limit} bytes")
                    part.replace(output)
                finally:
                    part.unlink(missing_ok=True)

    async def _run(
        self, folder: Path, video: Path, part: Path, limit: int, on_progress: Callable[[float], None]
    ) -> None:
        process = await self._start(
            *INPUT,
            *("-i", _file(video), "-map", "0:V:0", "-map", "0:a?", "-vf", FILTERS, *OUTPUT),
            *("-fs", str(limit), "-progress", "pipe:1", "-y", _file(part)),
            folder=folder,
        )
        try:
            async with asyncio.TaskGroup() as group:
                errors = group.create_task(_errors(process))
                group.create_task(_report(process, on_progress))
            code = await process.wait()
        finally:
            await _stop(process)
        if code:
            shown = errors.result().decode(errors="replace").strip()[-SHOWN_CHARS:]
            raise BurningFailed(f"{video}: ffmpeg failed ({code}): {shown}")

    async def _start(self, *arguments: str, folder: Path | None) -> Process:
        return await asyncio.create_subprocess_exec(
            *(self._program, "-nostdin", "-hide_banner", "-loglevel", "error", *arguments),
            cwd=folder,
            stdout=PIPE,
            stderr=PIPE,
        )


def _limit(video: Path, output: Path) -> int:
    """Return the most bytes of the result. Raises BurningFailed if it would replace the video."""
    if output.exists() and output.samefile(video):
        raise BurningFailed(f"{output} is the video itself; choose another folder")
    return MAX_BYTES_PER_BYTE * video.stat().st_size + SPARE_BYTES


def _file(path: Path) -> str:
    """Return a path as ffmpeg takes it for no option, no address and no pattern."""
    return f"file:{path.absolute()}"


async def _errors(process: Process) -> bytes:
    """Return the end of what ffmpeg writes to stderr."""
    assert process.stderr is not None
    kept = b""
    while piece := await process.stderr.read(MAX_ERROR_BYTES):
        kept = (kept + piece)[-MAX_ERROR_BYTES:]
    return kept


async def _report(process: Process, on_progress: Callable[[float], None]) -> None:
    assert process.stdout is not None
    async for line in process.stdout:
        key, _, value = line.decode(errors="replace").strip().partition("=")
        if key == "out_time_us" and value.isdecimal():  # "N/A" before the first frame
            on_progress(int(value) / 1_000_000)


async def _stop(process: Process) -> None:
    """End ffmpeg if it still runs."""
    if process.returncode is not None:
        return
    with suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(STOP_SECONDS):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
