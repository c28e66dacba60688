"""Find where the picture of a video changes at once: the cuts over which no subtitle should stay.

A cut is a frame that differs from the one before it by more than the frames around differ from one another.
So motion, noise, flashes (two differences, one after the other) and dissolves are none. Frames are compared
as small grey pictures.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

import av
import numpy as np
from av.container import InputContainer
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from audio.clip import samples_from_ms
from audio.errors import UnreadableFile
from audio.files import opened_container

WIDTH: Final = 64  # pixels of the compared pictures
HEIGHT: Final = 36
MIN_DIFFERENCE: Final = 12.0  # of 255: mean difference of the pixels at a cut
MIN_RATIO: Final = 2.5  # of this difference to the greater one of its neighbours
MAX_CUTS: Final = 100_000


class NoPictures(UnreadableFile):
    """The file has no video track."""

    def __init__(self) -> None:
        super().__init__("the file contains no video")


class CutFinder:
    """Find cuts in a sequence of pictures, with a delay of one picture."""

    def __init__(self) -> None:
        self._before: NDArray[np.int16] | None = None
        self._differences = (0.0, 0.0)  # of the last two pictures, each to the one before it

    def add(self, picture: NDArray[np.uint8]) -> bool:
        """Return whether the picture given before this one is the first one after a cut.

        picture: uint8 (height, width), grey
        """
        pixels = picture.astype(np.int16)
        before = self._before
        difference = 0.0 if before is None else float(np.abs(pixels - before).mean())
        earlier, last = self._differences
        self._before, self._differences = pixels, (last, difference)
        return last >= MIN_DIFFERENCE and last >= MIN_RATIO * max(earlier, difference)

    def finish(self) -> bool:
        """Return whether the last picture is the first one after a cut."""
        earlier, last = self._differences
        return last >= MIN_DIFFERENCE and last >= MIN_RATIO * earlier


def has_pictures(source: Path | IO[bytes]) -> bool:
    """Return whether a file has a video track; the cover of a song is none. Raises AudioError, OSError."""
    with _opened(source) as container:
        return _video(container) is not None


def picture_cuts(source: Path | IO[bytes], stop: Callable[[], bool] = lambda: False) -> list[int]:
    """Return where the picture of a video changes at once, in samples at 16 kHz, ascending.

    Times are those of a player, as in `decode_file`. The first MAX_CUTS are returned. A file without a video
    track has none, and where a video is damaged none are found.

    source: a path, or a file that is open for reading and can seek
    stop: asked after each picture whether the work is to end with the cuts so far

    Raises AudioError, OSError.
    """
    cuts: list[int] = []
    with _opened(source) as container:
        stream = _video(container)
        if stream is None:
            return cuts
        for seconds in _cut_times(container, stream, stop):
            cuts.append(samples_from_ms(seconds * 1_000))
            if len(cuts) == MAX_CUTS:
                break
    return cuts


@contextmanager
def _opened(source: Path | IO[bytes]) -> Iterator[InputContainer]:
    if isinstance(source, Path):
        with source.open("rb") as file, opened_container(file) as container:
            yield container
        return
    source.seek(0)
    with opened_container(source) as container:
        yield container


def _video(container: InputContainer) -> VideoStream | None:
    """Return the first video track that is no cover."""
    covers = Disposition.attached_pic
    return next((each for each in container.streams.video if not each.disposition & covers), None)


def _cut_times(container: InputContainer, stream: VideoStream, stop: Callable[[], bool]) -> Iterator[float]:
    """Yield the seconds of cuts."""
    origin = (container.start_time or 0) / av.time_base
    finder, before = CutFinder(), 0.0
    for frame in _frames(container, stream):
        if stop():
            return
        if frame.time is None:
            continue
        small = frame.reformat(WIDTH, HEIGHT, "gray", interpolation="AREA").to_ndarray()
        if finder.add(small.astype(np.uint8, copy=False)):
            yield before
        before = max(frame.time - origin, 0.0)
    if finder.finish():
        yield before


def _frames(container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
    """Yield the frames that can be decoded."""
    stream.thread_type = "AUTO"
    try:
        for packet in container.demux(stream):
            try:
                frames = packet.decode()
            except av.FFmpegError:  # the next packet may be intact
                continue
            yield from frames
    except av.FFmpegError:  # the rest of a file that is cut off
        return
