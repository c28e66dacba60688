"""Sphinx: one decoder that follows a clip while it grows."""

import wave
from pathlib import Path

import numpy as np
import pytest

from asr.sphinx import LEAD, Sphinx, pcm16
from audio.clip import SAMPLE_RATE, Clip, Samples

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def speech() -> Samples:
    with wave.open(str(ROOT / "test.wav")) as file:
        pcm = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    return pcm.astype(np.float32) / np.float32(32768)


@pytest.fixture(scope="module")
def sphinx() -> Sphinx:
    return Sphinx()


def test_nothing_is_said_of_less_than_the_lead(sphinx: Sphinx, speech: Samples) -> None:
    sphinx.forget()
    assert sphinx.follow(Clip(speech[: LEAD - 1])) == ""
    assert sphinx.finish(Clip(speech[:1599])) == ()


def test_a_long_clip_is_heard_in_stretches_with_the_same_words_however_it_grew(
    sphinx: Sphinx, speech: Samples
) -> None:
    clip = Clip(speech, 1000)
    sphinx.forget()
    at_once = sphinx.finish(clip)
    sphinx.forget()
    for end in range(SAMPLE_RATE, len(speech), 3 * SAMPLE_RATE + 77):
        sphinx.follow(Clip(speech[:end], 1000))
    assert sphinx.finish(clip) == at_once
    edges = [edge for word in at_once for edge in (word.start, word.end)]
    assert edges == sorted(edges)
    assert 1000 <= edges[0] <= edges[-1] <= clip.end
    assert len(at_once) >= 20


def test_a_clip_that_starts_elsewhere_is_another_clip(sphinx: Sphinx, speech: Samples) -> None:
    sphinx.forget()
    alone = sphinx.finish(Clip(speech[: 3 * SAMPLE_RATE]))
    sphinx.forget()
    sphinx.follow(Clip(speech[4 * SAMPLE_RATE : 7 * SAMPLE_RATE], 4 * SAMPLE_RATE))
    assert sphinx.finish(Clip(speech[: 3 * SAMPLE_RATE])) == alone


def test_samples_become_16_bits_and_louder_than_full_scale_is_clipped() -> None:
    loud = np.array([0, 0.5, -0.5, 1, -1, 7, -7], dtype=np.float32)
    assert np.frombuffer(pcm16(loud), "<i2").tolist() == [0, 16384, -16384, 32767, -32767, 32767, -32767]
