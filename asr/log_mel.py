"""Compute Whisper's log-mel features with numpy (openai/whisper, audio.py)."""

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from audio.clip import SAMPLE_RATE, Samples

FFT_SAMPLES: Final = 400
HOP_SAMPLES: Final = 160
FLOOR: Final = 1e-10  # The least power before the logarithm.
RANGE: Final = 8.0  # log10 of the range of powers in a clip; lower powers are raised.
LINEAR_HZ: Final = 1000.0  # The mel scale is linear below this frequency and logarithmic above it.
MELS_PER_HZ: Final = 3 / 200  # in the linear part
MELS_PER_LOG: Final = 27 / math.log(6.4)  # in the logarithmic part

Floats = NDArray[np.float32]


class LogMel:
    """Compute log-mel features for a number of mel bins: 80, or 128 for large-v3."""

    def __init__(self, bins: int) -> None:
        self._filters = mel_filters(bins)
        self._window = np.hanning(FFT_SAMPLES + 1)[:-1].astype(np.float32)

    def features(self, samples: Samples, frames: int) -> Floats:
        """Return the features of samples, float32 (bins, frames).

        samples: float32, 16 kHz; they are padded with zeros or cut at the end
        frames: number of frames of 10 ms
        """
        length = frames * HOP_SAMPLES
        samples = samples[:length]
        padded = np.zeros(length, dtype=np.float32)
        padded[: len(samples)] = samples
        padded = np.pad(padded, FFT_SAMPLES // 2, mode="reflect")
        # Later frames hold only zeros.
        computed = min(frames, (len(samples) + FFT_SAMPLES // 2) // HOP_SAMPLES + 1)
        windows = np.lib.stride_tricks.sliding_window_view(padded, FFT_SAMPLES)[::HOP_SAMPLES][:computed]
        spectrum = np.fft.rfft(windows * self._window)
        power = np.square(spectrum.real) + np.square(spectrum.imag)
        mel = np.log10(np.maximum(self._filters @ power.T, np.float32(FLOOR)))
        least = max(mel.max() - RANGE, math.log10(FLOOR))
        features = np.full((len(mel), frames), least, dtype=np.float32)
        np.maximum(mel, np.float32(least), out=features[:, :computed])
        return (features + np.float32(4)) / np.float32(4)


def mel_filters(bins: int) -> Floats:
    """Return triangular filters of unit area on Slaney's mel scale, (bins, FFT_SAMPLES // 2 + 1)."""
    top = LINEAR_HZ * MELS_PER_HZ + MELS_PER_LOG * math.log(SAMPLE_RATE / 2 / LINEAR_HZ)
    edges = _hz(np.linspace(0, top, bins + 2))
    frequencies = np.fft.rfftfreq(FFT_SAMPLES, 1 / SAMPLE_RATE)
    slopes = edges[:, None] - frequencies
    widths = np.diff(edges)[:, None]
    triangles = np.maximum(0, np.minimum(-slopes[:-2] / widths[:-1], slopes[2:] / widths[1:]))
    filters: Floats = (triangles * (2 / (edges[2:] - edges[:-2]))[:, None]).astype(np.float32)
    return filters


def _hz(mels: NDArray[np.float64]) -> NDArray[np.float64]:
    linear = mels / MELS_PER_HZ
    above = LINEAR_HZ * np.exp((mels - LINEAR_HZ * MELS_PER_HZ) / MELS_PER_LOG)
    return np.where(linear < LINEAR_HZ, linear, above)
