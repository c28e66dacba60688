"""Ctc: a token or a blank per frame, all at once (Graves et al. 2006). wav2vec2 and kin, Parakeet-CTC."""

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import ClassVar, Final, Self

import torch
from torch import Tensor
from transformers import AutoModelForCTC

from asr.hypothesis import Hypothesis, Request
from asr.pretrained import (
    BATCH_SECONDS,
    Checkpoint,
    Speller,
    Token,
    mask_group_norms,
    transcribe_in_batches,
)
from audio.clip import Clip

_PARAKEET: Final = "parakeet_ctc"
# Of the networks over raw samples, those that their attention mask keeps clear of padding; the others are
# batched by equal length only.
_MASKED: Final = frozenset({"wav2vec2", "hubert", "wavlm", "unispeech", "unispeech-sat", _PARAKEET})


class Ctc:
    """Greedy CTC: the likeliest token of each frame, repeats merged, blanks dropped."""

    family: ClassVar[str] = "ctc"
    languages: ClassVar[tuple[str, ...]] = ()
    honours: ClassVar[frozenset[str]] = frozenset({"words"})  # of the options
    model_types: ClassVar[frozenset[str]] = _MASKED | {"data2vec-audio", "sew", "sew-d", "wav2vec2-conformer"}

    def __init__(self, checkpoint: Checkpoint, *, batch_seconds: float = BATCH_SECONDS) -> None:
        self.device = checkpoint.device
        self.dtype = checkpoint.dtype_name
        self._checkpoint = checkpoint
        self._batch_seconds = batch_seconds
        self._speller = Speller(checkpoint.tokenizer, group_tokens=False)
        self._blank: int = checkpoint.model.config.pad_token_id
        self._frames: _WaveformFrames | _ParakeetFrames = (
            _ParakeetFrames(checkpoint)
            if checkpoint.model.config.model_type == _PARAKEET
            else _WaveformFrames(checkpoint)
        )

    @classmethod
    def load(
        cls, source: str | Path, *, device: str, dtype: str = "auto", local_files_only: bool = False
    ) -> Self:
        """source: a hub id or a folder. Raises ModelUnavailable, UnsupportedModel."""
        return cls(
            Checkpoint.load(
                source,
                lambda _: AutoModelForCTC,
                model_types=cls.model_types,
                device=device,
                dtype=dtype,
                local_files_only=local_files_only,
            )
        )

    @torch.inference_mode()
    def transcribe(self, requests: Sequence[Request]) -> list[Hypothesis]:
        return transcribe_in_batches(
            requests, self._recognize, batch_seconds=self._batch_seconds, min_fill=self._frames.min_fill
        )

    def _recognize(self, requests: list[Request]) -> list[Hypothesis]:
        clips = [request.clip for request in requests]
        features = self._checkpoint.features(clips)
        valid = self._frames.prepare(features["attention_mask"])
        logits: Tensor = self._checkpoint.model(**features).logits
        log_probs, ids = logits.float().log_softmax(-1).max(-1)
        counts = [logits.shape[1]] * len(clips) if valid is None else valid.tolist()
        return [
            self._speller.hypothesis(
                self._tokens(clip, row_ids[:count], row_probs[:count]),
                words=request.options.words,
                ignored=request.options.beyond(self.honours),
            )
            for request, clip, row_ids, row_probs, count in zip(
                requests, clips, ids.tolist(), log_probs.tolist(), counts, strict=True
            )
        ]

    def _tokens(self, clip: Clip, ids: list[int], log_probs: list[float]) -> list[Token]:
        """ids, log_probs: one per frame. A token's log-probability is the mean over its frames."""
        tokens: list[Token] = []
        frame = 0
        for token, run in groupby(ids):
            first, frame = frame, frame + len(list(run))
            if token != self._blank:
                start, end = (min(clip.start + at * self._frames.samples, clip.end) for at in (first, frame))
                tokens.append(Token(token, start, end, sum(log_probs[first:frame]) / (frame - first)))
        return tokens


class _WaveformFrames:
    """Frames of a network over raw samples. samples: per frame."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        config = checkpoint.model.config
        self.samples: int = config.inputs_to_logits_ratio
        self.min_fill = 0.5 if self._masks(config) else 1.0
        self._model = checkpoint.model
        self._norms = mask_group_norms(
            checkpoint.model, kernel=config.conv_kernel[0], stride=config.conv_stride[0]
        )

    @staticmethod
    def _masks(config: object) -> bool:
        """HuBERT's batch norm lifts the zeroed padding in front of the positional convolution."""
        return getattr(config, "model_type", "") in _MASKED and not getattr(
            config, "conv_pos_batch_norm", False
        )

    def prepare(self, mask: Tensor) -> Tensor | None:
        """mask: (B, samples). The valid frames of each row (B,), or None for all of them."""
        if self.min_fill == 1:
            return None
        samples = mask.sum(-1)
        for norm in self._norms:
            norm.samples = samples
        valid: Tensor = self._model._get_feat_extract_output_lengths(samples)
        return valid


class _ParakeetFrames:
    """Frames of a network over mel features. samples: per frame."""

    min_fill = 0.5

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._model = checkpoint.model
        factor: int = checkpoint.model.config.encoder_config.subsampling_factor
        self.samples: int = checkpoint.feature_extractor.hop_length * factor

    def prepare(self, mask: Tensor) -> Tensor | None:
        """mask: (B, mel frames). The valid frames of each row (B,)."""
        valid: Tensor = self._model._get_subsampling_output_length(mask.sum(-1))
        return valid
