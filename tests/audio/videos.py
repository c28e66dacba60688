"""Make small videos of plain and moving pictures."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

RATE = 25
WIDTH, HEIGHT = 96, 54
Picture = NDArray[np.uint8]


def plain(level: int) -> Picture:
    """Return a grey picture."""
    return np.full((HEIGHT, WIDTH, 3), level, np.uint8)


def stripes(shift: int, period: int = 24) -> Picture:
    """Return a picture with bright and dark stripes, moved to the right by pixels."""
    row = (((np.arange(WIDTH) - shift) // (period // 2)) % 2 * 160 + 40).astype(np.uint8)
    return np.repeat(np.tile(row, (HEIGHT, 1))[:, :, np.newaxis], 3, axis=2)


def write_video(path: Path, pictures: Sequence[Picture], *, sound: bool = True, start: int = 0) -> Path:
    """Write pictures at 25 a second, with a tone of the same length.

    start: frames before the first picture, in which there is only sound
    """
    seconds = (start + len(pictures)) / RATE
    with av.open(str(path), "w") as output:
        video = output.add_stream("mpeg4", rate=RATE)
        assert isinstance(video, av.VideoStream)
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        video.bit_rate = 2_000_000
        audio = output.add_stream("aac", rate=16_000, layout="mono") if sound else None
        for number, picture in enumerate(pictures, start):
            frame = av.VideoFrame.from_ndarray(picture, "rgb24")
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            output.mux(video.encode(frame))
        output.mux(video.encode(None))
        if audio is not None:
            assert isinstance(audio, av.AudioStream)
            tone = (0.3 * np.sin(2 * np.pi * 440 * np.arange(round(seconds * 16_000)) / 16_000)).astype("f4")
            heard = av.AudioFrame.from_ndarray(tone[np.newaxis], "fltp", "mono")
            heard.sample_rate, heard.pts = 16_000, 0
            output.mux([*audio.encode(heard), *audio.encode(None)])
    return path
