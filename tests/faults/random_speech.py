"""Make random clips of a few seconds from the sentences of test.wav."""

from functools import cache
from random import Random

import numpy as np

from audio.clip import SAMPLE_RATE, Samples, samples_from_ms
from bench.accuracy.audio_io import split_at_pauses, utterances_from
from tests.server.live_server import ROOT

MS = SAMPLE_RATE // 1000  # samples
NOISE = 10 ** (-62 / 20)  # in and between the sentences, so that no two places are equal


@cache
def sentences() -> list[Samples]:
    """Return the sentences as float32 samples of shape (n,)."""
    return [samples for _, samples in utterances_from(ROOT / "test.wav", SAMPLE_RATE, 10)]


@cache
def pieces() -> list[Samples]:
    """Return runs of speech between short pauses: one word or a few."""
    return [
        run for one in sentences() for run in split_at_pauses(one, SAMPLE_RATE, 60) if len(run) > 200 * MS
    ]


def sound(chance: Random) -> Samples:
    """Return one to about ten seconds of speech and gaps, in whole milliseconds, float32 of shape (n,)."""
    parts = [_silence(chance.randint(0, 600))]
    for _ in range(chance.randint(1, 4)):
        spoken = chance.choice(sentences() if chance.random() < 0.25 else pieces())
        gain = 10 ** (chance.uniform(-14, 0) / 20)
        parts += [spoken * np.float32(gain), _silence(chance.choice((120, 350, 500, 900)))]
    samples = np.concatenate(parts)
    samples = samples[: len(samples) // MS * MS]
    hiss = np.random.default_rng(chance.getrandbits(32)).standard_normal(len(samples), dtype=np.float32)
    return samples + hiss * np.float32(NOISE)


def _silence(ms: int) -> Samples:
    return np.zeros(samples_from_ms(ms), np.float32)
