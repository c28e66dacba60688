"""Recognize speech with encoder-decoder models: Whisper and Moonshine."""

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import ClassVar, Final, Self

import torch
from transformers import AutoModelForSpeechSeq2Seq

from asr.bf16_attention import use_matmul_attention
from asr.greedy_decoder import DecodedRow, GumbelSampler, ModelAdapter, Prefix, decode
from asr.loop_retries import decode_loops_again
from asr.moonshine import Moonshine, MoonshineStreaming
from asr.recognizer import Hypothesis, RecognitionRequest, TranscriptionOptions, compression_ratio
from asr.row_batches import BATCH_SECONDS, batches_by_kind
from asr.timed_tokens import TimedToken, TokenDecoder
from asr.transformers_base import Checkpoint
from asr.whisper import Whisper
from asr.whisper_guard import is_loop
from asr.windows import FALLBACK_TEMPERATURES, MAX_COMPRESSION, AudioContext, split_windows, token_limit
from asr.word_boundaries import refine_boundaries
from audio.clip import SAMPLE_RATE, Clip

# Moonshine's encoder always takes the clip alone, so its adapters ignore the audio context.
_ADAPTERS: Final[dict[str, Callable[[Checkpoint, AudioContext], ModelAdapter]]] = {
    "whisper": Whisper,
    "moonshine": lambda checkpoint, _: Moonshine(checkpoint),
    "moonshine_streaming": lambda checkpoint, _: MoonshineStreaming(checkpoint),
}


@dataclass(frozen=True, slots=True)
class _Window:
    """Hold a part of a request that is short enough for the encoder.

    request: index of the request
    prompt: number of prompt tokens
    samples: number of samples that the encoder takes
    partial: whether a fast result is better than a good one
    likely_language: language to take if none can be detected with certainty
    """

    request: int
    clip: Clip
    options: TranscriptionOptions
    prompt: int
    samples: int
    partial: bool
    likely_language: str | None


@dataclass(frozen=True, slots=True)
class _DecodedWindow:
    """Hold the decoded text of a window.

    no_speech: probability that the window has no speech; None if unknown
    reached_limit: whether the text was cut at its token limit
    """

    tokens: list[TimedToken]
    prefix: Prefix
    no_speech: float | None
    reached_limit: bool


class Seq2Seq:
    """Decode all rows of a batch step by step with an encoder-decoder model.

    The decoding loop is not that of transformers: it keeps the probabilities, limits each row by its own
    length, drops rows that have ended and lets detected and given languages share a batch. A test compares
    it with generate().
    """

    family: ClassVar[str] = "seq2seq"
    model_types: ClassVar[frozenset[str]] = frozenset(_ADAPTERS)

    def __init__(
        self,
        checkpoint: Checkpoint,
        *,
        batch_seconds: float = BATCH_SECONDS,
        audio_context: AudioContext = "full",
        fallback_temperatures: Sequence[float] = FALLBACK_TEMPERATURES,
    ) -> None:
        self.device = checkpoint.device
        self.dtype = checkpoint.dtype_name
        self._model = checkpoint.model
        if self.device == "cpu" and checkpoint.dtype is torch.bfloat16:
            use_matmul_attention(self._model)
        self._budget = round(batch_seconds * SAMPLE_RATE)
        self._fallback_temperatures = fallback_temperatures
        self._token_decoder = TokenDecoder(checkpoint.tokenizer)
        self._adapter = _ADAPTERS[checkpoint.model.config.model_type](checkpoint, audio_context)

    @classmethod
    def load(
        cls,
        source: str | Path,
        *,
        device: str,
        dtype: str = "auto",
        local_files_only: bool = False,
        audio_context: AudioContext = "full",
        fallback_temperatures: Sequence[float] = FALLBACK_TEMPERATURES,
    ) -> Self:
        """Load a checkpoint from a hub id or a folder. Raises ModelUnavailable and UnsupportedModel.

        audio_context: "short" gives Whisper's encoder little more than the clip, and all of its 30 s only if
            the text then repeats itself or does not end. This is faster and less accurate
        fallback_temperatures: temperatures for a text that repeats itself, in order
        """
        checkpoint = Checkpoint.load(
            source,
            lambda _: AutoModelForSpeechSeq2Seq,
            model_types=cls.model_types,
            device=device,
            dtype=dtype,
            local_files_only=local_files_only,
        )
        return cls(checkpoint, audio_context=audio_context, fallback_temperatures=fallback_temperatures)

    @property
    def languages(self) -> tuple[str, ...]:
        return self._adapter.languages

    @property
    def translates(self) -> bool:
        return "task" not in self._adapter.ignored(TranscriptionOptions(task="translate"))

    @torch.inference_mode()
    def transcribe(self, requests: Sequence[RecognitionRequest]) -> list[Hypothesis]:
        windows = [
            _Window(
                index,
                clip,
                request.options,
                len(self._adapter.prompt(request.options)),
                self._adapter.row_samples(clip),
                request.partial,
                request.likely_language,
            )
            for index, request in enumerate(requests)
            for clip in split_windows(request.clip)
        ]
        decoded: list[list[_DecodedWindow]] = [[] for _ in requests]
        for window, part in zip(windows, self._decode_with_fallback(windows), strict=True):
            decoded[window.request].append(part)
        return [self._join(request, parts) for request, parts in zip(requests, decoded, strict=True)]

    def _join(self, request: RecognitionRequest, parts: list[_DecodedWindow]) -> Hypothesis:
        """Join the parts of a request.

        The language is that of the first part. The probability of no speech is the lowest one of the parts.
        """
        hypothesis = self._token_decoder.hypothesis(
            *(part.tokens for part in parts),
            words=self._has_word_times(request.options),
            ignored=self._adapter.ignored(request.options),
        )
        return replace(
            hypothesis,
            words=refine_boundaries(hypothesis.words, request.clip),
            language=parts[0].prefix.language,
            language_probability=parts[0].prefix.language_probability,
            no_speech_probability=min(
                (part.no_speech for part in parts if part.no_speech is not None), default=None
            ),
        )

    def _decode_with_fallback(self, windows: list[_Window]) -> list[_DecodedWindow]:
        """Decode windows, and decode faulty ones again.

        A fault in a short context leads to full context; a loop in a final leads to the next temperature,
        until a text is no loop.
        """
        decoded = self._decode_all(windows)
        full_context = self._adapter.full_context
        again = [
            index
            for index, (window, part) in enumerate(zip(windows, decoded, strict=True))
            if window.samples < full_context and self._needs_full_context(part)
        ]
        windows = [
            replace(window, samples=full_context) if index in again else window
            for index, window in enumerate(windows)
        ]
        for index, part in zip(again, self._decode_all([windows[index] for index in again]), strict=True):
            decoded[index] = part
        decode_loops_again(
            windows,
            decoded,
            [partial(_at_temperature, temperature) for temperature in self._fallback_temperatures],
            is_loop=self._is_loop,
            decode=self._decode_all,
        )
        return decoded

    def _needs_full_context(self, part: _DecodedWindow) -> bool:
        return part.reached_limit or compression_ratio(self._text(part)) > MAX_COMPRESSION

    def _is_loop(self, window: _Window, part: _DecodedWindow) -> bool:
        ids = [token.id for token in part.tokens]
        return is_loop(ids, self._text(part), window.clip.samples, has_ended=not part.reached_limit)

    def _text(self, part: _DecodedWindow) -> str:
        return self._token_decoder.decode_text([token.id for token in part.tokens])

    def _decode_all(self, windows: list[_Window]) -> list[_DecodedWindow]:
        """Decode windows in batches; the prompts of a batch have one length, so its rows decode in step."""
        decoded: dict[int, _DecodedWindow] = {}
        kinds, rows = [window.prompt for window in windows], [window.samples for window in windows]
        for group in batches_by_kind(kinds, rows, budget=self._budget, min_fill=self._adapter.min_fill):
            decoded |= zip(group, self._decode_batch([windows[index] for index in group]), strict=True)
        return [decoded[index] for index in range(len(windows))]

    def _decode_batch(self, batch: list[_Window]) -> list[_DecodedWindow]:
        encoded = self._adapter.encode([window.clip for window in batch], batch[0].samples)
        prefixes = self._adapter.prefixes(
            encoded, [window.options for window in batch], [window.likely_language for window in batch]
        )
        left = self._adapter.positions - len(prefixes[0].ids)
        limits = [token_limit(window.clip.seconds, left) for window in batch]
        rows = decode(
            self._model,
            encoded,
            prefixes,
            limits,
            self._adapter.masks,
            no_speech=self._adapter.no_speech,
            sampler=_sampler(batch),
        )

        def decoded(row: int, text: DecodedRow) -> _DecodedWindow:
            window, prefix = batch[row], prefixes[row]
            timed = bool(text.ids) and self._has_word_times(window.options)
            starts = self._adapter.starts(encoded, row, window.clip, prefix, text.ids) if timed else []
            tokens = _tokens(window.clip, text, starts)
            return _DecodedWindow(tokens, prefix, text.no_speech, reached_limit=len(text.ids) == limits[row])

        return [decoded(row, text) for row, text in enumerate(rows)]

    def _has_word_times(self, options: TranscriptionOptions) -> bool:
        return options.words and self._adapter.has_times


def _at_temperature(temperature: float, window: _Window) -> _Window | None:
    """Return the window at a temperature; None if its text was requested at this one or above."""
    if window.options.temperature >= temperature:
        return None
    return replace(window, options=replace(window.options, temperature=temperature))


def _sampler(batch: Sequence[_Window]) -> GumbelSampler | None:
    """Return a sampler for a batch; None if all temperatures are 0.

    The seed of a row is a checksum of its audio, so the same audio gives the same text.
    """
    temperatures = [window.options.temperature for window in batch]
    return (
        GumbelSampler(temperatures, [zlib.crc32(window.clip.samples.tobytes()) for window in batch])
        if any(temperatures)
        else None
    )


def _tokens(clip: Clip, text: DecodedRow, starts: list[int]) -> list[TimedToken]:
    """Return the tokens with their times.

    starts: samples of the stream, one per token and the end of the last token. If it is empty, each token
        spans the clip
    """
    spans = list(pairwise(starts)) or [(clip.start, clip.end)] * len(text.ids)
    return [
        TimedToken(i, start, end, log_prob)
        for i, (start, end), log_prob in zip(text.ids, spans, text.log_probs, strict=True)
    ]
