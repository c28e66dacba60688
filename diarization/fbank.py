"""Compute log-mel filter bank features as Kaldi does (compute-fbank-feats, without dither), with numpy."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from audio.clip import SAMPLE_RATE, Samples

BINS: Final = 80
FRAME_SAMPLES: Final = 400  # 25 ms
HOP_SAMPLES: Final = 160  # 10 ms
FFT_SAMPLES: Final = 512
PREEMPHASIS: Final = np.float32(0.97)
LOW_HZ: Final = 20.0
FLOOR: Final = np.finfo(np.float32).eps  # least energy before the logarithm

Floats = NDArray[np.float32]


def frames_of(samples: int) -> int:
    """Return how many whole frames a number of samples has."""
    return max(0, 1 + (samples - FRAME_SAMPLES) // HOP_SAMPLES)


def fbank(samples: Samples) -> Floats:
    """Return the features of samples, float32 (frames_of(n), 80): natural logarithms of energies.

    samples: float32 (n,) at 16 kHz, full scale is [-1, 1]. Each frame lies wholly in the samples.
    """
    frames = frames_of(len(samples))
    if not frames:
        return np.zeros((0, BINS), np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(samples, FRAME_SAMPLES)[::HOP_SAMPLES][:frames]
    windows = windows - windows.mean(axis=1, keepdims=True)
    emphasized = windows.copy()
    emphasized[:, 1:] -= PREEMPHASIS * windows[:, :-1]
    emphasized[:, 0] -= PREEMPHASIS * windows[:, 0]
    spectrum = np.fft.rfft(emphasized * _POVEY, FFT_SAMPLES).astype(np.complex64)
    power = np.square(spectrum.real) + np.square(spectrum.imag)
    return np.log(np.maximum(power @ _FILTERS, FLOOR))


def _mel(hz: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1127.0 * np.log1p(hz / 700.0)


def _filters() -> Floats:
    """Return triangles of height 1 that are evenly spaced on the mel scale, (FFT_SAMPLES // 2 + 1, BINS)."""
    low, high = _mel(np.array([LOW_HZ, SAMPLE_RATE / 2]))
    edges = np.linspace(low, high, BINS + 2)
    mels = _mel(np.linspace(0, SAMPLE_RATE / 2, FFT_SAMPLES // 2 + 1))[:, None]
    rising = (mels - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - mels) / (edges[2:] - edges[1:-1])
    filters: Floats = np.maximum(0, np.minimum(rising, falling)).astype(np.float32)
    filters[-1] = 0  # Kaldi leaves out the highest frequency.
    return filters


_FILTERS: Final = _filters()
_POVEY: Final = (np.hanning(FRAME_SAMPLES) ** 0.85).astype(np.float32)
