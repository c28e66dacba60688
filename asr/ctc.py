"""Recognize speech with CTC models (Graves et al. 2006): wav2vec2, its relatives and Parakeet-CTC."""

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
from asr.row_batches import BATCH_SECONDS, transcribe_in_batches
from asr.timed_tokens import TimedToken, TokenDecoder
from asr.transformers_base import Checkpoint, mask_group_norms
from audio.clip import Clip

BONUS_NATS: Final = 1.5  # for each token of a phrase
BEAM_WIDTH: Final = 16  # paths kept from frame to frame
MAX_CANDIDATES: Final = 16  # tokens per frame
MARGIN_NATS: Final = 6.0  # Tokens that are this much less likely than the best one of the frame are skipped.

_PARAKEET: Final = "parakeet_ctc"
# Models whose attention mask excludes padding. The other models over raw samples batch equal lengths only.
_MASKED: Final = frozenset({"wav2vec2", "hubert", "wavlm", "unispeech", "unispeech-sat", _PARAKEET})


class Ctc:
    """Decode the most likely token of each frame, merge repeats and drop blanks; best_path handles hotwords.

    Confidences are those of the network, without the boost. If the vocabulary cannot express one of the
    hotwords, the others are boosted, and Hypothesis.ignored contains "hotwords".
    """

    family: ClassVar[str] = "ctc"
    languages: ClassVar[tuple[str, ...]] = ()
    supported_options: ClassVar[frozenset[str]] = frozenset({"words", "hotwords"})
    model_types: ClassVar[frozenset[str]] = _MASKED | {"data2vec-audio", "sew", "sew-d", "wav2vec2-conformer"}

    def __init__(self, checkpoint: Checkpoint, *, batch_seconds: float = BATCH_SECONDS) -> None:
        self.device = checkpoint.device
        self.dtype = checkpoint.dtype_name
        self._checkpoint = checkpoint
        self._batch_seconds = batch_seconds
        self._token_decoder = TokenDecoder(checkpoint.tokenizer, group_tokens=False)
        self.punctuates = self._token_decoder.has_punctuation
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
        """Load a checkpoint from a hub id or a folder. Raises ModelUnavailable and UnsupportedModel."""
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
            self._token_decoder.hypothesis(
                self._tokens(request.clip, *row),
                words=request.options.words,
                ignored=request.options.unsupported(
                    self.supported_options if each.complete else self.supported_options - {"hotwords"}
                ),
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
        """Yield for each row one token per valid frame, and the log-probabilities of these tokens.

        log_probs: (B, frames, vocabulary)
        counts: valid frames of each row
        trees: phrases to boost in each row, or None
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
        """Merge the frames of each token; ids and log_probs have one value per frame.

        The log-probability of a token is the mean over its frames.
        """
        tokens: list[TimedToken] = []
        frame = 0
        for token, run in groupby(ids):
            first, frame = frame, frame + len(list(run))
            if token != self._blank:
                start, end = (min(clip.start + at * self._frames.samples, clip.end) for at in (first, frame))
                tokens.append(TimedToken(token, start, end, sum(log_probs[first:frame]) / (frame - first)))
        return tokens


_Labels: TypeAlias = "tuple[int, _Labels] | None"  # One token per frame so far, the last one first.
_Paths: TypeAlias = dict[tuple[int, int], tuple[float, _Labels]]  # State and last token to score and labels.


def best_path(log_probs: Tensor, tree: PhraseTree, blank: int) -> list[int]:
    """Return one token per frame: the path with the highest log-probability including phrase bonuses.

    log_probs: natural, (frames, vocabulary)

    This is a Viterbi search: a text is scored by its best path. Where no phrase is possible, the result is
    the most likely token of each frame, as without a tree (with equal tokens, either one). Paths in the same
    state of the tree with the same last token are merged. The best BEAM_WIDTH paths are kept, and also the
    path that is best without the bonuses that it may still lose. The result therefore never scores lower than
    the path of the most likely tokens.
    """
    paths: _Paths = {(tree.start, blank): (0.0, None)}
    for candidates in _candidates(log_probs):
        longer: _Paths = {}
        for (state, last), (score, labels) in paths.items():
            for token, log_prob in candidates:
                new = token not in (last, blank)
                reached, earned = tree.advance(state, token) if new else (state, 0)
                total = score + log_prob + BONUS_NATS * earned
                if (reached, token) not in longer or total > longer[reached, token][0]:
                    longer[reached, token] = (total, (token, labels))
        paths = _prune(longer, tree)
    _, labels = max(
        ((score + BONUS_NATS * tree.finish(state), labels) for (state, _), (score, labels) in paths.items()),
        key=itemgetter(0),
    )
    return _unwind(labels)


def _candidates(log_probs: Tensor) -> Iterable[list[tuple[int, float]]]:
    """Yield the tokens of each frame that are likely enough to search, with their log-probabilities.

    log_probs: (frames, vocabulary)
    """
    values, tokens = log_probs.topk(min(MAX_CANDIDATES, log_probs.shape[-1]))
    counts = (values >= values[:, :1] - MARGIN_NATS).sum(-1)
    for row_tokens, row_values, count in zip(tokens.tolist(), values.tolist(), counts.tolist(), strict=True):
        yield list(zip(row_tokens[:count], row_values[:count], strict=True))


def _prune(paths: _Paths, tree: PhraseTree) -> _Paths:
    if len(paths) <= BEAM_WIDTH:
        return paths
    kept = nlargest(BEAM_WIDTH, paths, key=lambda key: paths[key][0])
    safest = max(paths, key=lambda key: paths[key][0] - BONUS_NATS * tree.at_risk(key[0]))
    return {key: paths[key] for key in (*kept, safest)}


def _unwind(labels: _Labels) -> list[int]:
    found = []
    while labels is not None:
        token, labels = labels
        found.append(token)
    return found[::-1]


class _WaveformFrames:
    """Count the output frames of a network over raw samples; `samples` is the samples per frame."""

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
        """Return whether padding cannot change the output of a row.

        The batch norm of some HuBERT models gives padding a non-zero value before the positional convolution.
        """
        return getattr(config, "model_type", "") in _MASKED and not getattr(
            config, "conv_pos_batch_norm", False
        )

    def prepare(self, mask: Tensor) -> Tensor | None:
        """Return the valid frames of each row (B,), or None if all are valid; mask: (B, samples)."""
        if self.min_fill == 1:
            return None
        samples = mask.sum(-1)
        for norm in self._norms:
            norm.samples = samples
        valid: Tensor = self._model._get_feat_extract_output_lengths(samples)
        return valid


class _ParakeetFrames:
    """Count the output frames of a network over mel features; `samples` is the samples per frame."""

    min_fill = 0.5

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._model = checkpoint.model
        factor: int = checkpoint.model.config.encoder_config.subsampling_factor
        self.samples: int = checkpoint.feature_extractor.hop_length * factor

    def prepare(self, mask: Tensor) -> Tensor | None:
        """Return the valid frames of each row (B,); mask: (B, mel frames)."""
        valid: Tensor = self._model._get_subsampling_output_length(mask.sum(-1))
        return valid
