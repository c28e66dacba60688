"""Seq2Seq: an encoder, and a decoder that writes one token after the other. Whisper, Moonshine."""

import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import ClassVar, Final, Self

import numpy as np
import torch
from transformers import AutoModelForSpeechSeq2Seq

from asr.bf16_attention import use_products
from asr.greedy_decoder import WINDOW, DecodedRow, GumbelSampler, ModelAdapter, Prefix, decode, token_limit
from asr.moonshine import Moonshine, MoonshineStreaming
from asr.recognizer import Hypothesis, RecognitionRequest, TranscriptionOptions, compression_ratio
from asr.transformers_base import BATCH_SECONDS, Checkpoint, TimedToken, TokenDecoder, batches
from asr.whisper import AudioContext, Whisper
from asr.word_boundaries import refined
from audio.clip import SAMPLE_RATE, Clip

CUT_WITHIN: Final = (
    5 * SAMPLE_RATE
)  # samples at the end of a window, in the quietest place of which it is cut
QUIET_OVER: Final = SAMPLE_RATE // 10  # samples

RAN_ON: Final = 2.4  # compression ratio above which a text repeats itself (openai/whisper, transcribe.py)

# Moonshine's encoder runs over the clip and no more, whatever is asked for.
_DIALECTS: Final[dict[str, Callable[[Checkpoint, AudioContext], ModelAdapter]]] = {
    "whisper": Whisper,
    "moonshine": lambda checkpoint, _: Moonshine(checkpoint),
    "moonshine_streaming": lambda checkpoint, _: MoonshineStreaming(checkpoint),
}


@dataclass(frozen=True, slots=True)
class _Window:
    """A stretch of one request, short enough for the encoder.

    prompt: how many tokens it has; samples: that the encoder runs over
    """

    request: int
    clip: Clip
    options: TranscriptionOptions
    prompt: int
    samples: int


@dataclass(frozen=True, slots=True)
class _Heard:
    """ran_on: the text was cut at its limit."""

    tokens: list[TimedToken]
    prefix: Prefix
    no_speech: float | None
    ran_on: bool


class Seq2Seq:
    """Decoding of a whole batch in step.

    The loop is ours: it keeps the probabilities, bounds each row by its own length, drops rows that ended and
    lets detected and given languages share a batch. A test holds it to generate().
    """

    family: ClassVar[str] = "seq2seq"
    model_types: ClassVar[frozenset[str]] = frozenset(_DIALECTS)

    def __init__(
        self,
        checkpoint: Checkpoint,
        *,
        batch_seconds: float = BATCH_SECONDS,
        audio_context: AudioContext = "full",
    ) -> None:
        self.device = checkpoint.device
        self.dtype = checkpoint.dtype_name
        self._model = checkpoint.model
        if self.device == "cpu" and checkpoint.dtype is torch.bfloat16:
            use_products(self._model)
        self._budget = round(batch_seconds * SAMPLE_RATE)
        self._speller = TokenDecoder(checkpoint.tokenizer)
        self._dialect = _DIALECTS[checkpoint.model.config.model_type](checkpoint, audio_context)

    @classmethod
    def load(
        cls,
        source: str | Path,
        *,
        device: str,
        dtype: str = "auto",
        local_files_only: bool = False,
        audio_context: AudioContext = "full",
    ) -> Self:
        """source: a hub id or a folder. Raises ModelUnavailable, UnsupportedModel.

        audio_context: short runs Whisper's encoder over little more than the clip, and over all of its 30 s
        only where the text then repeats itself or does not end. Faster, and less exact.
        """
        checkpoint = Checkpoint.load(
            source,
            lambda _: AutoModelForSpeechSeq2Seq,
            model_types=cls.model_types,
            device=device,
            dtype=dtype,
            local_files_only=local_files_only,
        )
        return cls(checkpoint, audio_context=audio_context)

    @property
    def languages(self) -> tuple[str, ...]:
        return self._dialect.languages

    @property
    def translates(self) -> bool:
        return "task" not in self._dialect.ignored(TranscriptionOptions(task="translate"))

    @torch.inference_mode()
    def transcribe(self, requests: Sequence[RecognitionRequest]) -> list[Hypothesis]:
        pieces = [
            _Window(
                index,
                clip,
                request.options,
                len(self._dialect.prompt(request.options)),
                self._dialect.row_samples(clip),
            )
            for index, request in enumerate(requests)
            for clip in windows(request.clip)
        ]
        heard: list[list[_Heard]] = [[] for _ in requests]
        for piece, part in zip(pieces, self._hear_well(pieces), strict=True):
            heard[piece.request].append(part)
        return [self._join(request, parts) for request, parts in zip(requests, heard, strict=True)]

    def _join(self, request: RecognitionRequest, parts: list[_Heard]) -> Hypothesis:
        """The language is that of the first part; there is speech if any part has some."""
        hypothesis = self._speller.hypothesis(
            *(part.tokens for part in parts),
            words=self._times(request.options),
            ignored=self._dialect.ignored(request.options),
        )
        return replace(
            hypothesis,
            words=refined(hypothesis.words, request.clip),
            language=parts[0].prefix.language,
            language_probability=parts[0].prefix.language_probability,
            no_speech_probability=min(
                (part.no_speech for part in parts if part.no_speech is not None), default=None
            ),
        )

    def _hear_well(self, pieces: list[_Window]) -> list[_Heard]:
        """What was misheard for want of context is heard again with all of it."""
        heard = self._hear_all(pieces)
        longest = self._dialect.longest
        again = [
            index
            for index, (piece, part) in enumerate(zip(pieces, heard, strict=True))
            if piece.samples < longest and self._lost(part)
        ]
        better = self._hear_all([replace(pieces[index], samples=longest) for index in again])
        for index, part in zip(again, better, strict=True):
            heard[index] = part
        return heard

    def _lost(self, part: _Heard) -> bool:
        text = self._speller.spell([token.id for token in part.tokens])
        return part.ran_on or compression_ratio(text) > RAN_ON

    def _hear_all(self, pieces: list[_Window]) -> list[_Heard]:
        """Rows of a batch decode in step, so their prompts are of one length."""
        heard: dict[int, _Heard] = {}
        for length in {piece.prompt for piece in pieces}:
            same = [index for index, piece in enumerate(pieces) if piece.prompt == length]
            rows = [pieces[index].samples for index in same]
            for group in batches(rows, budget=self._budget, min_fill=self._dialect.min_fill):
                picked = [same[place] for place in group]
                heard |= zip(picked, self._hear([pieces[index] for index in picked]), strict=True)
        return [heard[index] for index in range(len(pieces))]

    def _hear(self, batch: list[_Window]) -> list[_Heard]:
        encoded = self._dialect.encode([piece.clip for piece in batch], batch[0].samples)
        prefixes = self._dialect.prefixes(encoded, [piece.options for piece in batch])
        left = self._dialect.positions - len(prefixes[0].ids)
        limits = [token_limit(piece.clip, left) for piece in batch]
        written = decode(
            self._model,
            encoded,
            prefixes,
            limits,
            self._dialect.penalties,
            no_speech=self._dialect.no_speech,
            lots=_lots(batch),
        )

        def heard(row: int, text: DecodedRow) -> _Heard:
            piece, prefix = batch[row], prefixes[row]
            timed = bool(text.ids) and self._times(piece.options)
            starts = self._dialect.starts(encoded, row, piece.clip, prefix, text.ids) if timed else []
            tokens = _tokens(piece.clip, text, starts)
            return _Heard(tokens, prefix, text.no_speech, ran_on=len(text.ids) == limits[row])

        return [heard(row, text) for row, text in enumerate(written)]

    def _times(self, options: TranscriptionOptions) -> bool:
        return options.words and self._dialect.times


def _lots(batch: Sequence[_Window]) -> GumbelSampler | None:
    """The seed is a clip's sound, so that the same sound gives the same text. None where all are certain."""
    temperatures = [piece.options.temperature for piece in batch]
    return (
        GumbelSampler(temperatures, [zlib.crc32(piece.clip.samples.tobytes()) for piece in batch])
        if any(temperatures)
        else None
    )


def windows(clip: Clip) -> Iterator[Clip]:
    """The clip in stretches of 30 s at most, cut where it is quietest near a window's end."""
    while len(clip.samples) > WINDOW:
        blocks = clip.samples[WINDOW - CUT_WITHIN : WINDOW].reshape(-1, QUIET_OVER)
        quietest = int(np.square(blocks).sum(axis=1).argmin())
        cut = WINDOW - CUT_WITHIN + quietest * QUIET_OVER + QUIET_OVER // 2
        yield Clip(clip.samples[:cut], clip.start)
        clip = Clip(clip.samples[cut:], clip.start + cut)
    yield clip


def _tokens(clip: Clip, text: DecodedRow, starts: list[int]) -> list[TimedToken]:
    """starts: samples of the stream, one per token and the end of the last; empty: anywhere in the clip."""
    spans = list(pairwise(starts)) or [(clip.start, clip.end)] * len(text.ids)
    return [
        TimedToken(i, start, end, log_prob)
        for i, (start, end), log_prob in zip(text.ids, spans, text.log_probs, strict=True)
    ]
