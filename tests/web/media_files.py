"""Recordings and videos of the first sentence of test.wav, in every format that the page names."""

from pathlib import Path
from typing import Final

import av
import numpy as np
from av.container import OutputContainer

from tests.server.running import first_sentence

RATE: Final = 48_000  # which every codec here takes
CODECS: Final = {
    "wav": "pcm_s16le",
    "mp3": "libmp3lame",
    "m4a": "aac",
    "mp4": "aac",
    "ogg": "libopus",
    "webm": "libopus",
    "flac": "flac",
    "aiff": "pcm_s16be",  # which browsers do not read
}
PICTURES: Final = {"mp4": "mpeg4", "webm": "libvpx"}  # videos
FORMATS: Final = {"m4a": "mp4"}  # by ending, where the container's name is another


def make(folder: Path, ending: str) -> Path:
    """A file of that format."""
    path = folder / f"speech.{ending}"
    with av.open(str(path), "w", format=FORMATS.get(ending, ending)) as container:
        picture = _picture(container, PICTURES[ending]) if ending in PICTURES else None
        sound = container.add_stream(CODECS[ending], rate=RATE, layout="mono")
        assert isinstance(sound, av.AudioStream)
        if picture is not None:
            _draw(container, picture)
        samples = np.frombuffer(first_sentence(), np.int16)[None]
        frame = av.AudioFrame.from_ndarray(samples, "s16", "mono")
        frame.sample_rate = 16_000
        resampler = av.AudioResampler(sound.format, sound.layout, RATE, frame_size=sound.frame_size or None)
        for each in [*resampler.resample(frame), *resampler.resample(None)]:
            container.mux(sound.encode(each))
        container.mux(sound.encode())
    return path


def _picture(container: OutputContainer, codec: str) -> av.VideoStream:
    stream = container.add_stream(codec, rate=5)
    assert isinstance(stream, av.VideoStream)
    stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
    return stream


def _draw(container: OutputContainer, stream: av.VideoStream) -> None:
    """Four seconds of grey."""
    for _ in range(18):
        image = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 90, np.uint8), "rgb24")
        container.mux(stream.encode(image))
    container.mux(stream.encode())
