"""Ctc: a token or a blank per frame, all at once (Graves et al. 2006). wav2vec2 and kin, Parakeet-CTC."""

from collections.abc import Iterable, Sequence
from heapq import nlargest
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import ClassVar, Final, Self, TypeAlias

import torch
from torch import Tensor
from transformers import AutoModelForCTC

from asr.hotword_boosting import Phrasebook, PhraseTree
from asr.recognizer import Hypothesis, RecognitionRequest
from asr.transformers_base import (
    BATCH_SECONDS,
    Checkpoint,
    TimedToken,
    TokenDecoder,
    mask_group_norms,
    transcribe_in_batches,
)
from audio.clip import Clip

BONUS: Final = 1.5  # nats for each token of a phrase
BEAM: Final = 16  # paths kept from frame to frame
CANDIDATES: Final = 16  # tokens looked at in a frame, at most
MARGIN: Final = 6.0  # nats: a token that much less likely than the frame's best one is not looked at

_PARAKEET: Final = "parakeet_ctc"
# Of the networks over raw samples, those that their attention mask keeps clear of padding; the others are
# batched by equal length only.
_MASKED: Final = frozenset({"wav2vec2", "hubert", "wavlm", "unispeech", "unispeech-sat", _PARAKEET})


class Ctc:
    """The likeliest token of each frame, repeats merged, blanks dropped; with hotwords, what best_path finds.

    Confidences are of the network, whatever was boosted. Where the vocabulary cannot write one of the
    hotwords, the others are boosted, and Hypothesis.ignored says "hotwords".
    """

    family: ClassVar[str] = "ctc"
    languages: ClassVar[tuple[str, ...]] = ()
    honours: ClassVar[frozenset[str]] = frozenset({"words", "hotwords"})  # of the options
    model_types: ClassVar[frozenset[str]] = _MASKED | {"data2vec-audio", "sew", "sew-d", "wav2vec2-conformer"}

    def __init__(self, checkpoint: Checkpoint, *, batch_seconds: float = BATCH_SECONDS) -> None:
        self.device = checkpoint.device
        self.dtype = checkpoint.dtype_name
        self._checkpoint = checkpoint
        self._batch_seconds = batch_seconds
        self._speller = TokenDecoder(checkpoint.tokenizer, group_tokens=False)
        self._blank: int = checkpoint.model.config.pad_token_id
        self._phrases = Phrasebook(checkpoint.tokenizer, blank=self._blank)
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
    def transcribe(self, requests: Sequence[RecognitionRequest]) -> list[Hypothesis]:
        return transcribe_in_batches(
            requests, self._recognize, batch_seconds=self._batch_seconds, min_fill=self._frames.min_fill
        )

    def _recognize(self, requests: list[RecognitionRequest]) -> list[Hypothesis]:
        clips = [request.clip for request in requests]
        features = self._checkpoint.features(clips)
        valid = self._frames.prepare(features["attention_mask"])
        log_probs = self._checkpoint.model(**features).logits.float().log_softmax(-1)
        counts = [log_probs.shape[1]] * len(clips) if valid is None else valid.tolist()
        spellings = [self._phrases.spell(request.options.hotwords) for request in requests]
        return [
            self._speller.hypothesis(
                self._tokens(request.clip, *row),
                words=request.options.words,
                ignored=request.options.beyond(self.honours if each.whole else self.honours - {"hotwords"}),
            )
            for request, row, each in zip(
                requests,
                self._labels(log_probs, counts, [each.tree for each in spellings]),
                spellings,
                strict=True,
            )
        ]

    def _labels(
        self, log_probs: Tensor, counts: list[int], trees: list[PhraseTree | None]
    ) -> Iterable[tuple[list[int], list[float]]]:
        """Of each row one token per valid frame, and its log-probability.

        log_probs: (B, frames, vocabulary); counts: the valid frames of each row; trees: its phrases, or None.
        """
        best, ids = log_probs.max(-1)
        rows = zip(ids.tolist(), best.tolist(), counts, trees, log_probs, strict=True)
        for row_ids, row_best, count, tree, row in rows:
            if tree is None:
                yield row_ids[:count], row_best[:count]
            else:
                path = best_path(row[:count], tree, self._blank)
                yield path, row[torch.arange(count), path].tolist()

    def _tokens(self, clip: Clip, ids: list[int], log_probs: list[float]) -> list[TimedToken]:
        """ids, log_probs: one per frame. A token's log-probability is the mean over its frames."""
        tokens: list[TimedToken] = []
        frame = 0
        for token, run in groupby(ids):
            first, frame = frame, frame + len(list(run))
            if token != self._blank:
                start, end = (min(clip.start + at * self._frames.samples, clip.end) for at in (first, frame))
                tokens.append(TimedToken(token, start, end, sum(log_probs[first:frame]) / (frame - first)))
        return tokens


_Labels: TypeAlias = "tuple[int, _Labels] | None"  # a token for each frame up to now, the last one first
_Paths: TypeAlias = dict[tuple[int, int], tuple[float, _Labels]]  # by state and last token: score, labels


def best_path(log_probs: Tensor, tree: PhraseTree, blank: int) -> list[int]:
    """One token per frame: the path of the highest log-probability with BONUS for all that its phrases earn.

    log_probs: (frames, vocabulary), natural. A Viterbi search: a text counts by its best path, so that where
    no phrase is in reach the answer is the likeliest token of each frame, as without a tree (of two that are
    equal, either). Paths meet where they stand in the same state of the tree with the same last token. Of
    those that differ the best BEAM go on, and the best one when all is taken back that phrases may still
    lose: so the answer never scores less than the path of the likeliest tokens does.
    """
    paths: _Paths = {(tree.start, blank): (0.0, None)}
    for candidates in _candidates(log_probs):
        longer: _Paths = {}
        for (state, last), (score, labels) in paths.items():
            for token, log_prob in candidates:
                new = token not in (last, blank)
                reached, earned = tree.advance(state, token) if new else (state, 0)
                total = score + log_prob + BONUS * earned
                if (reached, token) not in longer or total > longer[reached, token][0]:
                    longer[reached, token] = (total, (token, labels))
        paths = _prune(longer, tree)
    _, labels = max(
        ((score + BONUS * tree.finish(state), labels) for (state, _), (score, labels) in paths.items()),
        key=itemgetter(0),
    )
    return _unwound(labels)


def _candidates(log_probs: Tensor) -> Iterable[list[tuple[int, float]]]:
    """(frames, vocabulary) to the tokens of each frame that may matter: blank alone, where it is certain."""
    values, tokens = log_probs.topk(min(CANDIDATES, log_probs.shape[-1]))
    counts = (values >= values[:, :1] - MARGIN).sum(-1)
    for row_tokens, row_values, count in zip(tokens.tolist(), values.tolist(), counts.tolist(), strict=True):
        yield list(zip(row_tokens[:count], row_values[:count], strict=True))


def _prune(paths: _Paths, tree: PhraseTree) -> _Paths:
    if len(paths) <= BEAM:
        return paths
    kept = nlargest(BEAM, paths, key=lambda key: paths[key][0])
    safest = max(paths, key=lambda key: paths[key][0] - BONUS * tree.at_risk(key[0]))
    return {key: paths[key] for key in (*kept, safest)}


def _unwound(labels: _Labels) -> list[int]:
    found = []
    while labels is not None:
        token, labels = labels
        found.append(token)
    return found[::-1]


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
