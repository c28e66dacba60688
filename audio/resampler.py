"""Resampler: mono samples at any rate to 16 kHz, with the filter's state carried from chunk to chunk."""

import numpy as np
import soxr  # type: ignore[import-untyped]  # soxr 1.1 ships no py.typed

from audio.clip import SAMPLE_RATE, Samples


class Resampler:
    """One stretch of sound at one rate. At 16 kHz the samples go through untouched, at no cost.

    Elsewhere libsoxr's "HQ": aliases are 80 dB down at least; the output lags behind the input by the length
    of the filter (40 ms from 22.05 to 48 kHz, 80 ms above, 115 ms at 8 kHz) until `flush`. n samples become
    floor(n * 16000 / rate + 1/2) in all.
    """

    def __init__(self, sample_rate: int) -> None:
        self._stream = None
        if sample_rate != SAMPLE_RATE:
            self._stream = soxr.ResampleStream(sample_rate, SAMPLE_RATE, 1, dtype="float32", quality="HQ")

    def resample(self, samples: Samples) -> Samples:
        """float32 (n,) in [-1, 1] to float32 (m,) at 16 kHz, in [-1, 1]: as much as is certain by now."""
        if self._stream is None:
            return samples
        return _resampled(self._stream, samples)

    def flush(self) -> Samples:
        """What the filter still holds, float32 (m,). The next samples begin a new stretch."""
        samples = np.empty(0, np.float32)
        if self._stream is None:
            return samples
        samples = _resampled(self._stream, samples, last=True)
        self._stream.clear()
        return samples


def _resampled(stream: soxr.ResampleStream, samples: Samples, last: bool = False) -> Samples:
    resampled: Samples = stream.resample_chunk(samples[:, np.newaxis], last)[:, 0]
    # A filter rings: near full scale it overshoots.
    return resampled.clip(-1, 1)
