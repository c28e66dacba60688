"""The repository's synthesised sentences, cut from test.wav."""

import wave
from pathlib import Path

import numpy as np

from audio.clip import SAMPLE_RATE, Clip, samples_from_ms

ROOT = Path(__file__).parents[2]
SENTENCES = (  # of test.wav, in milliseconds
    (200, 3100, "good morning and welcome to the program"),
    (3700, 7220, "she opened the window and looked out over the city"),
    (7840, 11110, "he walked along the river until the sun went down"),
)


def read(path: Path) -> Clip:
    with wave.open(str(path)) as file:
        assert file.getframerate() == SAMPLE_RATE
        pcm = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    return Clip(pcm.astype(np.float32) / np.float32(32768))


def sentence(number: int) -> Clip:
    """Return a sentence of test.wav; the clip starts at its position there."""
    start, end = (samples_from_ms(ms) for ms in SENTENCES[number][:2])
    return Clip(read(ROOT / "test.wav").samples[start:end], start)


def two_sentences() -> Clip:
    """Return the first two sentences with the pause between them."""
    start, end = samples_from_ms(SENTENCES[0][0]), samples_from_ms(SENTENCES[1][1])
    return Clip(read(ROOT / "test.wav").samples[start:end], start)


def beginning(clip: Clip, samples: int) -> Clip:
    return Clip(clip.samples[:samples], clip.start)


def margins(number: int, before: int, behind: int) -> Clip:
    """Return a sentence with some milliseconds of silence around it."""
    clip = sentence(number)
    loud = clip.start + np.flatnonzero(np.abs(clip.samples) > 0.01)
    start = max(0, int(loud[0]) - samples_from_ms(before))
    end = int(loud[-1]) + samples_from_ms(behind)
    return Clip(read(ROOT / "test.wav").samples[start:end], start)
