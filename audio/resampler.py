"""Resample audio of any rate to 16 kHz, chunk by chunk."""

import numpy as np
import soxr  # type: ignore[import-untyped]  # soxr 1.1 ships no py.typed

from audio.clip import SAMPLE_RATE, Samples


class Resampler:
    """Resample audio of one rate; the state of the filter is kept from chunk to chunk.

    Samples are mono, (n,), or of several channels that are resampled apart, (n, channels).

    At 16 kHz samples pass unchanged. At other rates this is libsoxr's "HQ": aliases are at
    least 80 dB down, and until `flush` the output lags behind the input by the length of the filter (40 ms
    from 22.05 to 48 kHz, 80 ms above, 115 ms at 8 kHz). n samples in all become
    floor(n * 16000 / rate + 1/2).
    """

    def __init__(self, sample_rate: int, channels: int | None = None) -> None:
        """Begin with audio at `sample_rate` Hz; channels: None for mono samples, (n,)."""
        self._nothing = np.empty(0 if channels is None else (0, channels), np.float32)
        self._stream = None
        if sample_rate != SAMPLE_RATE:
            self._stream = soxr.ResampleStream(
                sample_rate, SAMPLE_RATE, channels or 1, dtype="float32", quality="HQ"
            )

    def resample(self, samples: Samples) -> Samples:
        """Convert float32 in [-1, 1] to float32 at 16 kHz in [-1, 1], as far as it is certain."""
        if self._stream is None:
            return samples
        return _resampled(self._stream, samples)

    def flush(self) -> Samples:
        """Return what the filter still holds, float32, and reset it."""
        if self._stream is None:
            return self._nothing
        samples = _resampled(self._stream, self._nothing, last=True)
        self._stream.clear()
        return samples


def _resampled(stream: soxr.ResampleStream, samples: Samples, last: bool = False) -> Samples:
    if samples.ndim == 1:
        resampled: Samples = stream.resample_chunk(samples[:, np.newaxis], last)[:, 0]
    else:
        resampled = stream.resample_chunk(samples, last)
    # The filter overshoots near full scale.
    return resampled.clip(-1, 1)
