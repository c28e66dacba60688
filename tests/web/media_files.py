"""Audio and video files with the first sentence of test.wav, in every format that the page lists."""

import wave
from itertools import pairwise
from pathlib import Path
from typing import Final

import av
import numpy as np
from av.container import OutputContainer

from tests.server.live_server import first_sentence, spoken

RATE: Final = 48_000  # Hz; every codec below supports it
CODECS: Final = {
    "wav": "pcm_s16le",
    "mp3": "libmp3lame",
    "m4a": "aac",
    "mp4": "aac",
    "ogg": "libopus",
    "webm": "libopus",
    "flac": "flac",
    "aiff": "pcm_s16be",  # browsers cannot decode it
}
VIDEO_CODECS: Final = {"mp4": "mpeg4", "webm": "libvpx"}
FORMATS: Final = {"m4a": "mp4"}  # containers whose name is not the file extension


def make_file(folder: Path, extension: str) -> Path:
    """Write a file of the format, and return its path."""
    path = folder / f"speech.{extension}"
    with av.open(str(path), "w", format=FORMATS.get(extension, extension)) as container:
        video = _add_video(container, VIDEO_CODECS[extension]) if extension in VIDEO_CODECS else None
        audio = container.add_stream(CODECS[extension], rate=RATE, layout="mono")
        assert isinstance(audio, av.AudioStream)
        if video is not None:
            _encode_video(container, video)
        samples = np.frombuffer(first_sentence(), np.int16)[None]
        frame = av.AudioFrame.from_ndarray(samples, "s16", "mono")
        frame.sample_rate = 16_000
        resampler = av.AudioResampler(audio.format, audio.layout, RATE, frame_size=audio.frame_size or None)
        for each in [*resampler.resample(frame), *resampler.resample(None)]:
            container.mux(audio.encode(each))
        container.mux(audio.encode())
    return path


def make_video_without_audio(folder: Path) -> Path:
    """Write an mp4 with pictures alone."""
    path = folder / "mute.mp4"
    with av.open(str(path), "w", format="mp4") as container:
        _encode_video(container, _add_video(container, VIDEO_CODECS["mp4"]))
    return path


def make_file_with_pauses(folder: Path, seconds: int = 3) -> Path:
    """Write test.wav with so much more between its sentences that each is a segment of its own."""
    samples, silence = spoken(), bytes(seconds * 32_000)
    cuts = [round(seconds * 32_000) for seconds in (0, 3.4, 7.5)] + [len(samples)]
    path = folder / "pauses.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(silence.join(samples[start:end] for start, end in pairwise(cuts)))
    return path


def _add_video(container: OutputContainer, codec: str) -> av.VideoStream:
    stream = container.add_stream(codec, rate=5)
    assert isinstance(stream, av.VideoStream)
    stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
    return stream


def _encode_video(container: OutputContainer, stream: av.VideoStream) -> None:
    """Encode four seconds of grey frames."""
    for _ in range(18):
        image = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 90, np.uint8), "rgb24")
        container.mux(stream.encode(image))
    container.mux(stream.encode())
