"""Resample mono audio of any rate to 16 kHz, chunk by chunk."""

import numpy as np
import soxr  # type: ignore[import-untyped]  # soxr 1.1 ships no py.typed

from audio.clip import SAMPLE_RATE, Samples


class Resampler:
    """Resample audio of one rate; the state of the filter is kept from chunk to chunk.

    At 16 kHz samples pass unchanged. At other rates this is libsoxr's "HQ": aliases are at
    least 80 dB down, and until `flush` the output lags behind the input by the length of the filter (40 ms
    from 22.05 to 48 kHz, 80 ms above, 115 ms at 8 kHz). n samples in all become
    floor(n * 16000 / rate + 1/2).
    """

    def __init__(self, sample_rate: int) -> None:
        """Begin with audio at `sample_rate` Hz."""
        self._stream = None
        if sample_rate != SAMPLE_RATE:
            self._stream = soxr.ResampleStream(sample_rate, SAMPLE_RATE, 1, dtype="float32", quality="HQ")

    def resample(self, samples: Samples) -> Samples:
        """Convert float32 (n,) in [-1, 1] to float32 (m,) at 16 kHz in [-1, 1], as far as it is certain."""
        if self._stream is None:
            return samples
        return _resampled(self._stream, samples)

    def flush(self) -> Samples:
        """Return what the filter still holds, float32 (m,), and reset it."""
        samples = np.empty(0, np.float32)
        if self._stream is None:
            return samples
        samples = _resampled(self._stream, samples, last=True)
        self._stream.clear()
        return samples


def _resampled(stream: soxr.ResampleStream, samples: Samples, last: bool = False) -> Samples:
    resampled: Samples = stream.resample_chunk(samples[:, np.newaxis], last)[:, 0]
    # The filter overshoots near full scale.
    return resampled.clip(-1, 1)
