"""Compute which of three local speakers are active, with the network of pyannote/segmentation-3.0.

Bredin 2023 (pyannote.audio 2.1 speaker diarization pipeline); Plaquet and Bredin 2023, arXiv 2310.13025. The
first layer is SincNet (Ravanelli and Bengio 2018, arXiv 1808.00158).
"""

import math
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from audio.clip import SAMPLE_RATE

CLASSES: Final = 7  # none, one of three speakers, or two of them
FILTERS: Final = 80
FILTER_SAMPLES: Final = 251
STRIDE: Final = 10
LEAST_HZ: Final = 50.0  # least cut-off and least width of a filter


class PyanNet(nn.Module):
    """Compute scores of the seven classes: samples float32 (B, n) to (B, frames, 7).

    The names of the parts are those of the released weights.
    """

    def __init__(self) -> None:
        super().__init__()
        self.sincnet = _SincNet()
        self.lstm = nn.LSTM(60, 128, 4, bidirectional=True, batch_first=True)
        self.linear = nn.ModuleList([nn.Linear(256, 128), nn.Linear(128, 128)])
        self.classifier = nn.Linear(128, CLASSES)

    def forward(self, samples: Tensor) -> Tensor:
        x, _ = self.lstm(self.sincnet(samples[:, None]).transpose(1, 2))
        for linear in self.linear:
            x = functional.leaky_relu(linear(x))
        scores: Tensor = self.classifier(x)
        return scores


class _SincNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.wav_norm1d = nn.InstanceNorm1d(1, affine=True)
        self.conv1d = nn.ModuleList([_SincFilters(), nn.Conv1d(FILTERS, 60, 5), nn.Conv1d(60, 60, 5)])
        self.norm1d = nn.ModuleList([nn.InstanceNorm1d(size, affine=True) for size in (FILTERS, 60, 60)])

    def forward(self, x: Tensor) -> Tensor:
        x = self.wav_norm1d(x)
        for conv, norm in zip(self.conv1d, self.norm1d, strict=True):
            x = functional.leaky_relu(norm(functional.max_pool1d(conv(x), 3)))
        return x


class _SincFilters(nn.Module):
    """Return the magnitudes of band-pass filters, of which only the edges are learned."""

    def __init__(self) -> None:
        super().__init__()
        self.filterbank = _Edges()

    def forward(self, x: Tensor) -> Tensor:
        return functional.conv1d(x, self.filterbank.filters(), stride=STRIDE).abs()


class _Edges(nn.Module):
    """Hold the edges of the filters.

    low_hz_, band_hz_: float32 (40, 1), lower edge and width, each less LEAST_HZ
    window_, n_: float32 (125,) and (1, 125), the left half of the window, and its times in radians per Hz
    """

    def __init__(self) -> None:
        super().__init__()
        half = FILTER_SAMPLES // 2
        self.low_hz_ = nn.Parameter(torch.zeros(FILTERS // 2, 1))
        self.band_hz_ = nn.Parameter(torch.zeros(FILTERS // 2, 1))
        self.register_buffer("window_", torch.zeros(half))
        self.register_buffer("n_", 2 * math.pi * torch.arange(-half, 0)[None] / SAMPLE_RATE)

    def filters(self) -> Tensor:
        """Return the filters, float32 (80, 1, 251): 40 even ones, then 40 odd ones."""
        times, window = self.get_buffer("n_"), self.get_buffer("window_")
        low = LEAST_HZ + self.low_hz_.abs()
        high = (low + LEAST_HZ + self.band_hz_.abs()).clamp(LEAST_HZ, SAMPLE_RATE / 2)
        width = 2 * (high - low)
        left = ((high @ times).sin() - (low @ times).sin()) / (times / 2) * window
        even = torch.cat([left, width, left.flip(1)], 1) / width
        left = ((low @ times).cos() - (high @ times).cos()) / (times / 2) * window
        odd = torch.cat([left, torch.zeros_like(width), -left.flip(1)], 1) / width
        return torch.cat([even, odd])[:, None]
