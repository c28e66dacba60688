"""Compute the log-mel features of a whole batch with torch, on the device of its model."""

from collections.abc import Callable, Sequence
from typing import Any, Final

import torch
from torch import Tensor

from asr.log_mel import FLOOR, RANGE
from audio.clip import Samples

# Takes audio and the lengths of its rows, as `upload` returns them, and returns the model's inputs by name.
BatchLogMel = Callable[[Tensor, Tensor], dict[str, Tensor]]

CONFORMER_FLOOR: Final = 2.0**-24  # is added to the power before the logarithm
CONFORMER_EPSILON: Final = 1e-5  # is added to the standard deviation


def batch_log_mel(extractor: Any, device: str) -> BatchLogMel | None:
    """Return the counterpart of a feature extractor of transformers; None if it computes no log-mel features.

    The extractors of transformers compute on the CPU, or bring their result back to it. A dither is left out,
    because it makes the result random.
    """
    kind = type(extractor).__name__
    if kind == "WhisperFeatureExtractor":
        return _WhisperLogMel(extractor, device)
    if kind in ("ParakeetFeatureExtractor", "NemotronAsrStreamingFeatureExtractor"):
        return _ConformerLogMel(extractor, device, normalizes=kind.startswith("Parakeet"))
    return None


def upload(rows: Sequence[Samples], width: int, device: str) -> tuple[Tensor, Tensor]:
    """Return audio on a device, float32 (B, width), and the lengths of its rows, int64 (B,).

    rows: each is padded with zeros, or cut, at the end
    To a GPU both are copied from page-locked memory, so the copy does not hold up the process.
    """
    pinned = device.startswith("cuda")
    audio = torch.zeros(len(rows), width, pin_memory=pinned)
    for place, row in zip(audio.numpy(), rows, strict=True):
        place[: len(row)] = row[:width]
    lengths = torch.tensor([min(len(row), width) for row in rows], pin_memory=pinned)
    return audio.to(device, non_blocking=pinned), lengths.to(device, non_blocking=pinned)


class _WhisperLogMel:
    """Compute Whisper's features (openai/whisper, audio.py): input_features float32 (B, bins, frames)."""

    def __init__(self, extractor: Any, device: str) -> None:
        self._filters = torch.tensor(extractor.mel_filters.T, dtype=torch.float32, device=device)
        self._window = torch.hann_window(extractor.n_fft).to(device)
        self._fft: int = extractor.n_fft
        self._hop: int = extractor.hop_length

    def __call__(self, audio: Tensor, lengths: Tensor) -> dict[str, Tensor]:
        spectrum = torch.stft(audio, self._fft, self._hop, window=self._window, return_complex=True)
        power = torch.view_as_real(spectrum[..., :-1]).square().sum(-1)
        mel = (self._filters @ power).clamp_(min=FLOOR).log10_()
        least = mel.amax((1, 2), keepdim=True) - RANGE
        return {"input_features": (torch.maximum(mel, least) + 4) / 4}


class _ConformerLogMel:
    """Compute the features of Parakeet and Nemotron.

    input_features float32 (B, frames, bins), zeros after the end of a row; attention_mask int64 (B, frames).
    """

    def __init__(self, extractor: Any, device: str, *, normalizes: bool) -> None:
        """Take the settings of the extractor.

        normalizes: whether each bin of a row gets mean 0 and variance 1
        """
        # Nemotron was trained with a window and filters that were rounded to another dtype.
        rounded = getattr(torch, getattr(extractor, "mel_filters_dtype", "float32"))
        window = torch.hann_window(extractor.win_length, periodic=False)
        self._window = window.to(rounded).float().to(device)
        self._filters = extractor.mel_filters.to(rounded).float().to(device)
        self._fft: int = extractor.n_fft
        self._hop: int = extractor.hop_length
        self._preemphasis: float = extractor.preemphasis or 0.0
        self._normalizes = normalizes

    def __call__(self, audio: Tensor, lengths: Tensor) -> dict[str, Tensor]:
        emphasized = torch.cat([audio[:, :1], audio[:, 1:] - self._preemphasis * audio[:, :-1]], 1)
        within = torch.arange(audio.shape[1], device=audio.device) < lengths[:, None]
        spectrum = torch.stft(
            emphasized * within,
            self._fft,
            self._hop,
            win_length=len(self._window),
            window=self._window,
            pad_mode="constant",
            return_complex=True,
        )
        power = torch.view_as_real(spectrum).square().sum(-1)
        mel = (self._filters @ power + CONFORMER_FLOOR).log_().transpose(1, 2)
        frames = (lengths // self._hop)[:, None]
        mask = torch.arange(mel.shape[1], device=mel.device) < frames
        valid = mask[..., None]
        if self._normalizes:
            count = frames[..., None]
            centred = mel - (mel * valid).sum(1, keepdim=True) / count
            variance = (centred.square() * valid).sum(1, keepdim=True) / (count - 1)
            mel = centred / (variance.sqrt() + CONFORMER_EPSILON)
        return {"input_features": mel * valid, "attention_mask": mask.long()}
