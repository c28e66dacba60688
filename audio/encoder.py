"""Encode samples at 16 kHz as bytes: the inverse of the decoder."""

from typing import Final

import numpy as np
import soxr  # type: ignore[import-untyped]  # soxr 1.1 ships no py.typed
from numpy.typing import NDArray

from audio.clip import SAMPLE_RATE, Samples
from audio.codecs import Encoding, Format, SampleReader


def encode(samples: Samples, encoding: Encoding) -> bytes:
    """Encode float32 (n,) in [-1, 1], in one channel or in several identical ones.

    n samples become floor(n * rate / 16000 + 1/2) frames. Each sample is rounded to the nearest level of the
    format; for G.711, of the table by which it is decoded.
    """
    if encoding.sample_rate != SAMPLE_RATE:
        samples = soxr.resample(samples, SAMPLE_RATE, encoding.sample_rate, quality="HQ").astype(np.float32)
    return np.repeat(_quantized(samples.clip(-1, 1), encoding.format), encoding.channels).tobytes()


def _quantized(samples: Samples, form: Format) -> NDArray[np.generic]:
    if form is Format.PCM16:
        return (samples * 32768).round().clip(-32768, 32767).astype("<i2")
    if form is Format.FLOAT32:
        return samples.astype("<f4")
    order, midpoints = _G711[form]
    return order[np.searchsorted(midpoints, samples)]


def _nearest(form: Format) -> tuple[NDArray[np.uint8], Samples]:
    """Return the codes in order of their levels, and the midpoints between neighbouring levels."""
    levels = SampleReader(Encoding(form, 8_000)).read(bytes(range(256)))
    order = np.argsort(levels, kind="stable").astype(np.uint8)
    ascending = levels[order]
    return order, (ascending[1:] + ascending[:-1]) / np.float32(2)


_G711: Final = {form: _nearest(form) for form in (Format.PCMU, Format.PCMA)}
