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

from asr.hotword_boosting import ROOT, Phrasebook, PhraseTree
from asr.language_model import LanguageModel, WordScorer, WordState
from asr.recognizer import Hypothesis, RecognitionRequest
from asr.row_batches import BATCH_SECONDS, transcribe_in_batches
from asr.timed_tokens import TimedToken, TokenDecoder
from asr.transformers_base import Checkpoint, mask_group_norms
from audio.clip import Clip

BONUS_NATS: Final = 1.5  # for each token of a phrase
BEAM_WIDTH: Final = 16  # paths kept from frame to frame
BEAM_WIDTH_OF_WORDS: Final = 64  # with a language model, which scores a word only at its end
MAX_CANDIDATES: Final = 16  # tokens per frame
MARGIN_NATS: Final = 6.0  # Tokens that are this much less likely than the best one of the frame are skipped.

_PARAKEET: Final = "parakeet_ctc"
# Models whose attention mask excludes padding. The other models over raw samples batch equal lengths only.
_MASKED: Final = frozenset({"wav2vec2", "hubert", "wavlm", "unispeech", "unispeech-sat", _PARAKEET})


class Ctc:
    """Decode the most likely token of each frame, merge repeats and drop blanks.

    With hotwords or a language model, best_path searches for the best tokens.

    language_model: of the words of the language; None for none

    Confidences are those of the network, without the boost and the language model. If the vocabulary cannot
    express one of the hotwords, the others are boosted, and Hypothesis.ignored contains "hotwords".
    """

    family: ClassVar[str] = "ctc"
    languages: ClassVar[tuple[str, ...]] = ()
    supported_options: ClassVar[frozenset[str]] = frozenset({"words", "hotwords"})
    model_types: ClassVar[frozenset[str]] = _MASKED | {"data2vec-audio", "sew", "sew-d", "wav2vec2-conformer"}

    def __init__(
        self,
        checkpoint: Checkpoint,
        *,
        batch_seconds: float = BATCH_SECONDS,
        language_model: LanguageModel | None = None,
    ) -> None:
        self.device = checkpoint.device
        self.dtype = checkpoint.dtype_name
        self._checkpoint = checkpoint
        self._batch_seconds = batch_seconds
        self._token_decoder = TokenDecoder(checkpoint.tokenizer, group_tokens=False)
        self.punctuates = self._token_decoder.has_punctuation
        self._blank: int = checkpoint.model.config.pad_token_id
        self._phrases = Phrasebook(checkpoint.tokenizer, blank=self._blank)
        self._language_model = language_model
        self._frames: _WaveformFrames | _ParakeetFrames = (
            _ParakeetFrames(checkpoint)
            if checkpoint.model.config.model_type == _PARAKEET
            else _WaveformFrames(checkpoint)
        )

    @classmethod
    def load(
        cls,
        source: str | Path,
        *,
        device: str,
        dtype: str = "auto",
        local_files_only: bool = False,
        language_model: str = "",
    ) -> Self:
        """Load a checkpoint from a hub id or a folder.

        language_model: path of an ARPA file; "" for none

        Raises ModelUnavailable and UnsupportedModel.
        """
        words = LanguageModel(Path(language_model)) if language_model else None
        return cls(
            Checkpoint.load(
                source,
                lambda _: AutoModelForCTC,
                model_types=cls.model_types,
                device=device,
                dtype=dtype,
                local_files_only=local_files_only,
            ),
            language_model=words,
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
            if tree is None and self._language_model is None:
                yield row_ids[:count], row_best[:count]
            else:
                words = None
                if self._language_model is not None:
                    words = WordScorer(self._language_model, self._phrases.pieces, self._phrases.space)
                path = best_path(row[:count], tree, self._blank, words)
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
_State: TypeAlias = tuple[int, WordState]  # of the phrases and of the words
# State and last token to score and labels.
_Paths: TypeAlias = dict[tuple[_State, int], tuple[float, _Labels]]


class _PathScorer:
    """Add up what phrases and words score on a path, in nats; either may be missing."""

    def __init__(self, tree: PhraseTree | None, words: WordScorer | None) -> None:
        self._tree = tree
        self._words = words
        self.width = BEAM_WIDTH if words is None else BEAM_WIDTH_OF_WORDS
        self.start: _State = (
            ROOT if tree is None else tree.start,
            WordState(0) if words is None else words.start,
        )

    def advance(self, state: _State, token: int) -> tuple[_State, float]:
        (phrase, written), score = state, 0.0
        if self._tree is not None:
            phrase, earned = self._tree.advance(phrase, token)
            score += BONUS_NATS * earned
        if self._words is not None:
            written, said = self._words.advance(written, token)
            score += said
        return (phrase, written), score

    def finish(self, state: _State) -> float:
        score = 0.0 if self._tree is None else BONUS_NATS * self._tree.finish(state[0])
        return score if self._words is None else score + self._words.finish(state[1])

    def at_risk(self, state: _State) -> float:
        """Return the bonuses that can still be lost."""
        return 0.0 if self._tree is None else BONUS_NATS * self._tree.at_risk(state[0])


def best_path(
    log_probs: Tensor, tree: PhraseTree | None, blank: int, words: WordScorer | None = None
) -> list[int]:
    """Return one token per frame: the path with the highest log-probability with what its text scores.

    log_probs: natural, (frames, vocabulary)
    tree: scores phrases; None for none
    words: scores words by a language model; None for none. One for each search

    This is a Viterbi search: a text is scored by its best path. Where no phrase is possible and no word is
    scored, the result is the most likely token of each frame, as without a tree (with equal tokens, either
    one). Paths in the same state with the same last token are merged. The best ones are kept, and also the
    path that is best without the bonuses that it may still lose. Without `words` the result therefore never
    scores lower than the path of the most likely tokens.
    """
    scorer = _PathScorer(tree, words)
    paths: _Paths = {(scorer.start, blank): (0.0, None)}
    for candidates in _candidates(log_probs):
        longer: _Paths = {}
        for (state, last), (score, labels) in paths.items():
            for token, log_prob in candidates:
                new = token not in (last, blank)
                reached, earned = scorer.advance(state, token) if new else (state, 0.0)
                total = score + log_prob + earned
                if (reached, token) not in longer or total > longer[reached, token][0]:
                    longer[reached, token] = (total, (token, labels))
        paths = _prune(longer, scorer)
    _, labels = max(
        ((score + scorer.finish(state), labels) for (state, _), (score, labels) in paths.items()),
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


def _prune(paths: _Paths, scorer: _PathScorer) -> _Paths:
    if len(paths) <= scorer.width:
        return paths
    kept = nlargest(scorer.width, paths, key=lambda key: paths[key][0])
    safest = max(paths, key=lambda key: paths[key][0] - scorer.at_risk(key[0]))
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
