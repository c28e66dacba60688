"""Seq2Seq: an encoder, and a decoder that writes one token after the other. Whisper, Moonshine."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import ClassVar, Final, Self

import numpy as np
import torch
from transformers import AutoModelForSpeechSeq2Seq

from asr.decoder import WINDOW, Dialect, Prefix, decode, token_limit
from asr.hypothesis import Hypothesis, Options, Request
from asr.moonshine import Moonshine, MoonshineStreaming
from asr.pretrained import BATCH_SECONDS, Checkpoint, Speller, Token, batches
from asr.whisper import Whisper
from audio.clip import SAMPLE_RATE, Clip

CUT_WITHIN: Final = (
    5 * SAMPLE_RATE
)  # samples at the end of a window, in the quietest place of which it is cut
QUIET_OVER: Final = SAMPLE_RATE // 10  # samples

_DIALECTS: Final[dict[str, Callable[[Checkpoint], Dialect]]] = {
    "whisper": Whisper,
    "moonshine": Moonshine,
    "moonshine_streaming": MoonshineStreaming,
}


@dataclass(frozen=True, slots=True)
class _Window:
    """A stretch of one request, short enough for the encoder. prompt: how many tokens it has."""

    request: int
    clip: Clip
    options: Options
    prompt: int


@dataclass(frozen=True, slots=True)
class _Heard:
    tokens: list[Token]
    language: str | None


class Seq2Seq:
    """Greedy decoding of a whole batch in step.

    The loop is ours: it keeps the probabilities, bounds each row by its own length, drops rows that ended and
    lets detected and given languages share a batch. A test holds it to generate().
    """

    family: ClassVar[str] = "seq2seq"
    model_types: ClassVar[frozenset[str]] = frozenset(_DIALECTS)

    def __init__(self, checkpoint: Checkpoint, *, batch_seconds: float = BATCH_SECONDS) -> None:
        self.device = checkpoint.device
        self.dtype = checkpoint.dtype_name
        self._model = checkpoint.model
        self._budget = round(batch_seconds * SAMPLE_RATE)
        self._speller = Speller(checkpoint.tokenizer)
        self._dialect = _DIALECTS[checkpoint.model.config.model_type](checkpoint)

    @classmethod
    def load(
        cls, source: str | Path, *, device: str, dtype: str = "auto", local_files_only: bool = False
    ) -> Self:
        """source: a hub id or a folder. Raises ModelUnavailable, UnsupportedModel."""
        return cls(
            Checkpoint.load(
                source,
                lambda _: AutoModelForSpeechSeq2Seq,
                model_types=cls.model_types,
                device=device,
                dtype=dtype,
                local_files_only=local_files_only,
            )
        )

    @property
    def languages(self) -> tuple[str, ...]:
        return self._dialect.languages

    @torch.inference_mode()
    def transcribe(self, requests: Sequence[Request]) -> list[Hypothesis]:
        pieces = [
            _Window(index, clip, request.options, len(self._dialect.prompt(request.options)))
            for index, request in enumerate(requests)
            for clip in windows(request.clip)
        ]
        heard: list[list[_Heard]] = [[] for _ in requests]
        for piece, part in zip(pieces, self._hear_all(pieces), strict=True):
            heard[piece.request].append(part)
        return [self._join(request, parts) for request, parts in zip(requests, heard, strict=True)]

    def _join(self, request: Request, parts: list[_Heard]) -> Hypothesis:
        return self._speller.hypothesis(
            *(part.tokens for part in parts),
            words=self._times(request.options),
            language=parts[0].language,
        )

    def _hear_all(self, pieces: list[_Window]) -> list[_Heard]:
        """Rows of a batch decode in step, so their prompts are of one length."""
        heard: dict[int, _Heard] = {}
        for length in {piece.prompt for piece in pieces}:
            same = [index for index, piece in enumerate(pieces) if piece.prompt == length]
            rows = [self._dialect.row_samples(pieces[index].clip) for index in same]
            for group in batches(rows, budget=self._budget, min_fill=self._dialect.min_fill):
                picked = [same[place] for place in group]
                heard |= zip(picked, self._hear([pieces[index] for index in picked]), strict=True)
        return [heard[index] for index in range(len(pieces))]

    def _hear(self, batch: list[_Window]) -> list[_Heard]:
        encoded = self._dialect.encode([piece.clip for piece in batch])
        prefixes = self._dialect.prefixes(encoded, [piece.options for piece in batch])
        left = self._dialect.positions - len(prefixes[0].ids)
        limits = [token_limit(piece.clip, left) for piece in batch]
        written = decode(
            self._model, encoded, [prefix.ids for prefix in prefixes], limits, self._dialect.penalties
        )

        def starts(row: int, prefix: Prefix, ids: list[int]) -> list[int]:
            wanted = ids and self._times(batch[row].options)
            return self._dialect.starts(encoded, row, batch[row].clip, prefix, ids) if wanted else []

        return [
            _Heard(_tokens(batch[row].clip, ids, log_probs, starts(row, prefix, ids)), prefix.language)
            for row, (prefix, (ids, log_probs)) in enumerate(zip(prefixes, written, strict=True))
        ]

    def _times(self, options: Options) -> bool:
        return options.words and self._dialect.times


def windows(clip: Clip) -> Iterator[Clip]:
    """The clip in stretches of 30 s at most, cut where it is quietest near a window's end."""
    while len(clip.samples) > WINDOW:
        blocks = clip.samples[WINDOW - CUT_WITHIN : WINDOW].reshape(-1, QUIET_OVER)
        quietest = int(np.square(blocks).sum(axis=1).argmin())
        cut = WINDOW - CUT_WITHIN + quietest * QUIET_OVER + QUIET_OVER // 2
        yield Clip(clip.samples[:cut], clip.start)
        clip = Clip(clip.samples[cut:], clip.start + cut)
    yield clip


def _tokens(clip: Clip, ids: list[int], log_probs: list[float], starts: list[int]) -> list[Token]:
    """starts: samples of the stream, one per token and the end of the last; empty: anywhere in the clip."""
    spans = list(pairwise(starts)) or [(clip.start, clip.end)] * len(ids)
    return [
        Token(i, start, end, log_prob)
        for i, (start, end), log_prob in zip(ids, spans, log_probs, strict=True)
    ]
