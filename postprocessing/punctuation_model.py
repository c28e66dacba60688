"""Restore the punctuation and capitals of recognizers that write bare words, with a token classifier."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Self

import torch
from transformers import AutoModelForTokenClassification, AutoTokenizer

from asr import model_hub
from asr.errors import ModelUnavailable, UnsupportedModel
from asr.model_registry import LoadedModel
from asr.recognizer import Hypothesis, RecognitionRequest
from asr.transformers_base import choose_dtype, loaded_by
from postprocessing.punctuation import Scheme, Window, WordLabel, punctuated, scheme_of, windows

log = logging.getLogger(__name__)

WINDOW_TOKENS: Final = 256  # at most, with those at the beginning and at the end; a segment of 30 s has fewer
OVERLAP_WORDS: Final = 32
BATCH_WINDOWS: Final = 16
MAX_WORD_CHARS: Final = 50  # of a word that the model reads; in no vocabulary does it have more tokens


class PunctuationModel:
    """Restore punctuation with a model for the classification of tokens.

    model, tokenizer: of transformers, which leaves them untyped
    """

    def __init__(self, model: Any, tokenizer: Any) -> None:
        names = model.config.id2label
        self._scheme: Scheme = scheme_of([names[number] for number in range(len(names))])
        self._model = model
        self._tokenizer = tokenizer
        self._special = int(tokenizer.num_special_tokens_to_add())
        longest = min(model.config.max_position_embeddings - 2, tokenizer.model_max_length, WINDOW_TOKENS)
        self._most = longest - self._special

    @classmethod
    def load(cls, source: str, *, device: str, dtype: str, hub_timeout: float) -> Self:
        """Load a model.

        source: a folder, or an id of the hub, which is downloaded unless the cache has it
        device, dtype: as in Checkpoint.load
        hub_timeout: most seconds to wait for a hub that cannot be reached

        Raises ModelUnavailable and UnsupportedModel.
        """
        folder = Path(source).expanduser()
        if not folder.is_dir():
            folder = model_hub.cached_snapshot(source) or model_hub.download(source, hub_timeout)
        model, info = loaded_by(
            AutoModelForTokenClassification,
            folder,
            dtype=choose_dtype(device, dtype),
            output_loading_info=True,
            local_files_only=True,
        )
        if info["missing_keys"]:
            raise UnsupportedModel(
                f"{source} has no weights for {', '.join(sorted(info['missing_keys'])[:3])}"
            )
        tokenizer = loaded_by(AutoTokenizer, folder, local_files_only=True)
        if not tokenizer.is_fast:
            raise UnsupportedModel(f"{source} has no tokenizer that tells which word a token is of")
        try:
            return cls(model.to(device).eval(), tokenizer)
        except UnsupportedModel as error:
            raise UnsupportedModel(f"{source} cannot restore punctuation: {error}") from error

    def restore(self, hypotheses: Sequence[Hypothesis], *, english: bool = False) -> list[Hypothesis]:
        """Return the hypotheses with punctuation and capitals; their words keep their times.

        english: whether the texts are English
        """
        texts = [hypothesis.text.split() for hypothesis in hypotheses]
        labels = self._labels(texts)
        return [
            _with_words(hypothesis, words, punctuated(words, own, english=english))
            for hypothesis, words, own in zip(hypotheses, texts, labels, strict=True)
        ]

    def _labels(self, texts: Sequence[Sequence[str]]) -> list[list[WordLabel]]:
        """Return a label for each word of each text."""
        labels = [[WordLabel()] * len(words) for words in texts]
        parts = [
            (number, window) for number, words in enumerate(texts) for window in self._windows(words) if words
        ]
        for start in range(0, len(parts), BATCH_WINDOWS):
            batch = parts[start : start + BATCH_WINDOWS]
            found = self._classified([texts[number][part.first : part.end] for number, part in batch])
            for (number, part), own in zip(batch, found, strict=True):
                kept = own[part.kept - part.first : part.kept_end - part.first]
                labels[number][part.kept : part.kept_end] = kept
        return labels

    def _windows(self, words: Sequence[str]) -> list[Window]:
        if not words:
            return []
        tokens = self._tokenizer(
            [list(map(_short, words))], is_split_into_words=True, add_special_tokens=False
        )
        sizes = [0] * len(words)
        for word in tokens.word_ids(0):
            sizes[word] += 1
        return windows(sizes, self._most, OVERLAP_WORDS)

    @torch.inference_mode()
    def _classified(self, texts: Sequence[Sequence[str]]) -> list[list[WordLabel]]:
        """Return a label for each word of texts that fit into a window."""
        tokens = self._tokenizer(
            [list(map(_short, words)) for words in texts],
            is_split_into_words=True,
            padding=True,
            return_tensors="pt",
        )
        inputs = {name: tokens[name].to(self._model.device) for name in ("input_ids", "attention_mask")}
        chosen = self._model(**inputs).logits.argmax(dim=-1).tolist()
        return [
            [
                self._scheme.labels[label]
                for label in self._of_words(tokens.word_ids(row), chosen[row], len(words))
            ]
            for row, words in enumerate(texts)
        ]

    def _of_words(self, owners: Sequence[int | None], labels: Sequence[int], count: int) -> Iterator[int]:
        """Yield the label of each word: of its last token, or of its first one if labels have capitals.

        So were the models of the two schemes trained. A word without tokens has the label of the one before.
        """
        found: dict[int, int] = {}
        for word, label in zip(owners, labels, strict=True):
            if word is not None and not (self._scheme.has_capitals and word in found):
                found[word] = label
        label = next(number for number, each in enumerate(self._scheme.labels) if not each.mark)
        for word in range(count):
            label = found.get(word, label)
            yield label


class PunctuatingRecognizer:
    """Restore the punctuation of the final texts of a recognizer.

    Partials stay as they are, but none of their words is stable: the final changes their marks and capitals.
    """

    def __init__(self, recognizer: LoadedModel, model: PunctuationModel) -> None:
        self._recognizer = recognizer
        self._model = model
        self._english = recognizer.languages == ("en",)

    @property
    def languages(self) -> tuple[str, ...]:
        return self._recognizer.languages

    def transcribe(self, requests: Sequence[RecognitionRequest]) -> list[Hypothesis]:
        """Return one hypothesis per request, in order."""
        said = self._recognizer.transcribe(requests)
        final = [number for number, request in enumerate(requests) if not request.partial]
        restored = self._model.restore([said[number] for number in final], english=self._english)
        for number, hypothesis in zip(final, restored, strict=True):
            said[number] = hypothesis
        return [
            replace(hypothesis, stable_chars=0) if request.partial else hypothesis
            for hypothesis, request in zip(said, requests, strict=True)
        ]


def with_punctuation(loaded: LoadedModel, source: str, *, dtype: str, hub_timeout: float) -> LoadedModel:
    """Return a recognizer of bare words with a model that restores punctuation, on the same device.

    Where the model cannot be had, the recognizer stays as it is, and the log says why: its words are worth
    more than none.

    Raises UnsupportedModel for a model that cannot restore punctuation.
    """
    description = loaded.description
    try:
        model = PunctuationModel.load(source, device=description.device, dtype=dtype, hub_timeout=hub_timeout)
    except ModelUnavailable as error:
        log.warning("punctuation_model.unavailable model=%s error=%s", source, error)
        return loaded
    return LoadedModel(
        PunctuatingRecognizer(loaded, model),
        replace(description, punctuates=True, punctuation_model=source),
    )


def _short(word: str) -> str:
    """Return what the model reads of a word: in lower case, as it was trained, and of bounded length."""
    return word[:MAX_WORD_CHARS].lower()


def _with_words(hypothesis: Hypothesis, bare: Sequence[str], written: Sequence[str]) -> Hypothesis:
    """Return the hypothesis with the words as written.

    Words with times mostly are those of the text. Where they are not, they stay as they are.
    """
    if not bare:
        return hypothesis
    words = hypothesis.words
    if [word.text for word in words] == list(bare):
        words = tuple(replace(word, text=text) for word, text in zip(words, written, strict=True))
    return replace(hypothesis, text=" ".join(written), words=words)
