"""Recognize speech with Whisper in CTranslate2's format, without torch and transformers."""

import json
import os
import tempfile
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar, Final, Self

import ctranslate2
import numpy as np

from asr.alignment import best_heads
from asr.array_cache import array_file, cached_array
from asr.devices import available_cores
from asr.errors import UnsupportedModel
from asr.languages import MIN_LANGUAGE_PROBABILITY, choose_language
from asr.log_mel import HOP_SAMPLES, Floats, LogMel
from asr.loop_retries import decode_loops_again
from asr.recognizer import (
    Hypothesis,
    RecognitionRequest,
    TranscriptionOptions,
)
from asr.row_batches import BATCH_SECONDS, MIN_SAMPLES, at_least, batches, batches_by_kind
from asr.timed_tokens import TimedToken, TokenDecoder
from asr.whisper_guard import MIN_BLOCK, find_fault, find_loop, is_loop, is_sparse, without_loop
from asr.whisper_options import ignored_options, prompt_tokens
from asr.whisper_vocabulary import WhisperVocabulary
from asr.windows import WINDOW, AudioContext, split_windows, token_limit
from asr.word_boundaries import refine_boundaries
from audio.clip import SAMPLE_RATE, Clip, samples_from_ms

POSITIONS: Final = 448  # of the decoder, in every Whisper model
SAMPLES_PER_POSITION: Final = 2 * HOP_SAMPLES  # of the encoder

# Silence after the clip in a short context.
MARGIN_SAMPLES: Final = SAMPLE_RATE
# With less, Whisper often repeats the word of a clip that is shorter than a second. With 4 s base writes
# "5 5" for every third digit (docs/decisions/0020).
MIN_ROW_SAMPLES: Final = 6 * SAMPLE_RATE
# A short context is rounded up to a multiple of this, so that more clips share a batch.
ROUNDING_SAMPLES: Final = SAMPLE_RATE
# A partial shorter than this has no text if its language is a guess. Whisper base nearly always knows the
# language of 2 s.
UNSURE_SAMPLES: Final = 2 * SAMPLE_RATE
# A short context ends with this many positions of the encoder's output for 30 s of silence. Without them the
# decoder often does not find the end of the clip and begins the text again.
END_POSITIONS: Final = 64
# A final is the best of so many texts that are followed at once; a partial follows the most likely token.
FINAL_BEAMS: Final = 2
# Where a text is a loop, it is decoded again so that no run of so many tokens comes twice. That is the same
# each time, which a sampled text is not: CTranslate2 takes no seed per call.
UNREPEATED: Final = 3
# Most tokens of a text before that a window continues, so that prompt and text leave space for what follows.
MAX_PREVIOUS: Final = POSITIONS // 4

AUTO: Final = "auto"
_CPU_TYPES: Final = {AUTO: "int8", "int8": "int8", "float32": "float32"}
_CUDA_TYPES: Final = {
    AUTO: "float16",
    "int8": "int8_float16",
    "float32": "float32",
    "float16": "float16",
    "bfloat16": "bfloat16",
}


@dataclass(frozen=True, slots=True)
class _Previous:
    """Hold what was said before a window.

    clip: from the start of the utterance before to the end of the window
    ids: tokens of the text before
    """

    clip: Clip
    ids: tuple[int, ...]
    language: str | None


@dataclass(frozen=True, slots=True)
class _Window:
    """Hold a part of a request that is short enough for the encoder.

    request: index of the request
    prompt: tokens before the transcript
    samples: number of samples that the encoder takes
    partial: whether a fast result is better than a good one
    likely_language: language to take if none can be detected with certainty
    previous: what the window may continue; None to decode it alone
    may_repeat: whether the text may have a run of UNREPEATED tokens twice
    """

    request: int
    clip: Clip
    options: TranscriptionOptions
    prompt: tuple[int, ...]
    samples: int
    partial: bool
    likely_language: str | None
    previous: _Previous | None = None
    may_repeat: bool = True

    @property
    def alone(self) -> Self:
        """The window without what was said before."""
        return replace(self, previous=None)


@dataclass(frozen=True, slots=True)
class _Text:
    """Hold the decoded text of a window.

    ids: without the token that ends the text
    log_prob: mean over the tokens, the one that ends the text included; 0 without tokens
    has_ended: whether the decoder ended the text before its limit
    """

    ids: list[int]
    log_prob: float
    has_ended: bool


@dataclass(frozen=True, slots=True)
class _DecodedWindow:
    """Hold the result for a window.

    aligned: the tokens with their times; () unless words are requested
    no_speech: probability that the window has no speech
    """

    text: _Text
    aligned: Sequence[TimedToken]
    language: str
    language_probability: float | None
    no_speech: float


_NO_TEXT: Final = _Text([], 0.0, has_ended=True)


def compute_type(device: str, dtype: str = AUTO) -> str:
    """Return CTranslate2's name of the number format for a setting.

    dtype: auto, int8 or float32, and on CUDA also float16 or bfloat16. auto selects int8 on a CPU and float16
        on CUDA
    Raises ValueError for another name.
    """
    types = _CUDA_TYPES if device.startswith("cuda") else _CPU_TYPES
    if dtype not in types:
        raise ValueError(f"dtype {dtype!r} is not one of {', '.join(types)} for CTranslate2 on {device}")
    return types[dtype]


class Ctranslate2Whisper:
    """Decode clips greedily with CTranslate2, in batches of rows of one length.

    In a short context the encoder takes little more than the clip. A guard finds texts that suffer from it,
    and they are decoded again in full context.

    A clip is decoded with the sound and the text of the utterance before, if there is one, so that its first
    words have their context (docs/decisions/0030).
    """

    family: ClassVar[str] = "ctranslate2"
    continues: ClassVar[bool] = True

    def __init__(
        self,
        model: Any,
        vocabulary: WhisperVocabulary,
        *,
        device: str,
        dtype: str,
        audio_context: AudioContext = "auto",
        delay_ms: int = 0,
        retries_loops: bool = True,
        final_beams: int = FINAL_BEAMS,
        batch_seconds: float = BATCH_SECONDS,
        silence_file: Path | None = None,
    ) -> None:
        """Compute the encoder's output for silence, or read it from a file, for a short context.

        delay_ms: by how many ms the attention that the model aligns words with is later than the audio
        silence_file: keeps that output for the next load; None computes it each time
        """
        self.device = device
        self.dtype = dtype
        self._model = model
        self._vocabulary = vocabulary
        self._token_decoder = TokenDecoder(vocabulary)
        self._log_mel = LogMel(model.n_mels)
        self._is_short = audio_context != "full" and device == "cpu"
        self._retries_loops = retries_loops
        self._final_beams = final_beams
        self._budget = round(batch_seconds * SAMPLE_RATE)
        # All ids after the one that ends the text are control and timestamp tokens. -1 adds the model's own.
        self._suppressed = [-1, *range(vocabulary.end + 1, len(vocabulary))]
        self._start = vocabulary.id_of("<|startoftranscript|>")
        self._no_timestamps = vocabulary.id_of("<|notimestamps|>")
        self.translates: bool = model.is_multilingual
        self.languages = self._read_languages() if model.is_multilingual else ("en",)
        self._delay = samples_from_ms(delay_ms)
        self.decoded_again = 0  # windows, in full context or at a temperature
        self._end = cached_array(silence_file, self._encoded_silence) if self._is_short else None

    @classmethod
    def load(
        cls,
        folder: Path,
        *,
        device: str,
        dtype: str = AUTO,
        audio_context: AudioContext = "auto",
        retries_loops: bool = True,
        final_beams: int = FINAL_BEAMS,
        cache: Path | None = None,
    ) -> Self:
        """Load a model from a folder.

        device: cpu, cuda or cuda:N
        dtype: see `compute_type`
        audio_context: "full" gives the encoder all of its 30 s; the others, on a CPU, little more than the
            clip
        retries_loops: whether a text that repeats itself in full context is decoded again
        final_beams: number of texts that the search for a final follows at once; 1 follows the most likely
            token, as for a partial
        cache: folder that keeps the encoder's output for silence, which takes longer than the rest of the
            load; None computes it each time

        The number of threads is OMP_NUM_THREADS, or that of the processors. Raises ModelUnavailable if files
        are missing, and UnsupportedModel if CTranslate2 cannot load the model or it is no Whisper.
        """
        kind, _, index = device.partition(":")
        published = _published_heads(folder)
        alignment = best_heads(published)
        changed = _with_heads(folder, alignment.heads) if set(alignment.heads) != set(published) else None
        try:
            with changed or nullcontext(folder) as files:
                model = ctranslate2.models.Whisper(
                    str(files),
                    kind,
                    device_index=int(index or 0),
                    compute_type=compute_type(device, dtype),
                    intra_threads=_threads(),
                )
        except RuntimeError as error:
            raise UnsupportedModel(f"{folder}: {error}") from error
        vocabulary = WhisperVocabulary.load(folder)
        parts = (model.compute_type, ctranslate2.__version__, END_POSITIONS)
        silence_file = array_file(cache, folder / "model.bin", *parts) if cache is not None else None
        return cls(
            model,
            vocabulary,
            device=device,
            dtype=model.compute_type.removesuffix("_float32"),
            audio_context=audio_context,
            delay_ms=alignment.delay_ms,
            retries_loops=retries_loops,
            final_beams=final_beams,
            silence_file=silence_file,
        )

    def transcribe(self, requests: Sequence[RecognitionRequest]) -> list[Hypothesis]:
        """Return one hypothesis per request, in order."""
        windows = [
            _Window(
                index,
                clip,
                request.options,
                self._prompt(request.options),
                self._row_samples(clip),
                request.partial,
                request.likely_language,
                self._previous(request),
            )
            for index, request in enumerate(requests)
            for clip in split_windows(request.clip)
        ]
        decoded: list[list[_DecodedWindow]] = [[] for _ in requests]
        for window, part in zip(windows, self._decode_guarded(windows), strict=True):
            decoded[window.request].append(part)
        return [self._join(request, parts) for request, parts in zip(requests, decoded, strict=True)]

    def _encoded_silence(self) -> Floats:
        """Return the end of the encoder's output for a window of silence, (END_POSITIONS, width)."""
        silence = self._log_mel.features(np.zeros(MIN_SAMPLES, dtype=np.float32), WINDOW // HOP_SAMPLES)
        encoded: Floats = np.array(self._model.encode(_view(silence[None])))
        return encoded[0, -END_POSITIONS:]

    def _encode(self, batch: Sequence[_Window]) -> Any:
        """Return the encoder's output for windows with one number of samples."""
        frames = batch[0].samples // HOP_SAMPLES
        features = [
            self._log_mel.features(at_least(_heard(window).samples, MIN_SAMPLES), frames) for window in batch
        ]
        encoded = self._model.encode(_view(np.stack(features)))
        if self._end is None or batch[0].samples == WINDOW:
            return encoded
        end = np.broadcast_to(self._end, (len(batch), *self._end.shape))
        return _view(np.concatenate([np.array(encoded), end], axis=1))

    def _read_languages(self) -> tuple[str, ...]:
        """Return the languages of the control tokens between the start and the tasks."""
        tasks = self._vocabulary.id_of("<|translate|>")
        names = self._vocabulary.convert_ids_to_tokens(range(self._start + 1, tasks))
        return tuple(name.strip("<|>") for name in names)

    def _ignored(self, options: TranscriptionOptions) -> tuple[str, ...]:
        return ignored_options(options, self.languages, has_times=True, translates=self.translates)

    def _prompt(self, options: TranscriptionOptions) -> tuple[int, ...]:
        ids = prompt_tokens(self._vocabulary.encode_text, options, POSITIONS)
        return (self._vocabulary.id_of("<|startofprev|>"), *ids) if ids else ()

    def _previous(self, request: RecognitionRequest) -> _Previous | None:
        """Return what the clip may continue; None if it must be decoded alone."""
        previous, options, clip = request.previous, request.options, request.clip
        if previous is None or request.partial or options.temperature or options.task != "transcribe":
            return None
        if previous.clip.end != clip.start or clip.end - previous.clip.start > WINDOW:
            return None
        ids = tuple(self._vocabulary.encode_text(previous.text))
        if not 0 < len(ids) <= MAX_PREVIOUS:
            return None
        joined = Clip(np.concatenate([previous.clip.samples, clip.samples]), previous.clip.start)
        return _Previous(joined, ids, previous.language)

    def _row_samples(self, clip: Clip) -> int:
        if not self._is_short:
            return WINDOW
        samples = max(MIN_ROW_SAMPLES, len(clip.samples) + MARGIN_SAMPLES)
        return min(WINDOW, -(-samples // ROUNDING_SAMPLES) * ROUNDING_SAMPLES)

    def _join(self, request: RecognitionRequest, parts: list[_DecodedWindow]) -> Hypothesis:
        """Join the parts of a request.

        The language is that of the first part. The probability of no speech is the lowest one of the parts.
        """
        clip = request.clip
        hypothesis = self._token_decoder.hypothesis(
            *(
                [TimedToken(token, clip.start, clip.end, part.text.log_prob) for token in part.text.ids]
                for part in parts
            ),
            words=False,
            ignored=self._ignored(request.options),
        )
        words = [word for part in parts for word in self._token_decoder.words(part.aligned)]
        return replace(
            hypothesis,
            words=refine_boundaries(words, clip),
            language=parts[0].language,
            language_probability=parts[0].language_probability,
            no_speech_probability=min(part.no_speech for part in parts),
        )

    def _decode_guarded(self, windows: list[_Window]) -> list[_DecodedWindow]:
        """Decode windows, and decode faulty ones again.

        A fault in a short context leads to full context, and a loop in full context to a text that may not
        repeat itself. Of a partial only the loop is removed, because the next one follows soon.
        """
        decoded = self._decode_all(windows)
        partials = [index for index, window in enumerate(windows) if window.partial]
        for index in partials:
            decoded[index] = self._shorten(decoded[index])
        again = [
            index
            for index, (window, part) in enumerate(zip(windows, decoded, strict=True))
            if not window.partial and window.samples < WINDOW and self._fault(window, part)
        ]
        better = self._decode_again([replace(windows[index].alone, samples=WINDOW) for index in again])
        for index, part in zip(again, better, strict=True):
            decoded[index] = part
        decode_loops_again(
            windows,
            decoded,
            [_unrepeated] if self._retries_loops else [],
            is_loop=self._is_loop,
            decode=self._decode_again,
        )
        return decoded

    def _decode_again(self, windows: list[_Window]) -> list[_DecodedWindow]:
        self.decoded_again += len(windows)
        return self._decode_all(windows)

    def _fault(self, window: _Window, part: _DecodedWindow) -> str | None:
        text = self._token_decoder.decode_text(part.text.ids)
        return find_fault(
            part.text.ids,
            text,
            window.clip.samples,
            no_speech=part.no_speech,
            has_ended=part.text.has_ended,
        )

    def _is_loop(self, window: _Window, part: _DecodedWindow) -> bool:
        text = self._token_decoder.decode_text(part.text.ids)
        return is_loop(part.text.ids, text, window.clip.samples, has_ended=part.text.has_ended)

    def _shorten(self, part: _DecodedWindow) -> _DecodedWindow:
        """Return the result without the repetitions of a loop."""
        ids = without_loop(part.text.ids)
        return replace(part, text=replace(part.text, ids=ids), aligned=part.aligned[: len(ids)])

    def _decode_all(self, windows: list[_Window]) -> list[_DecodedWindow]:
        """Decode windows in batches: rows of one length, prompts of one length, one way to decode."""
        decoded: dict[int, _DecodedWindow] = {}
        kinds = [(len(window.prompt), window.options.temperature, window.may_repeat) for window in windows]
        rows = [window.samples for window in windows]
        for group in batches_by_kind(kinds, rows, budget=self._budget, min_fill=1):
            decoded |= zip(group, self._decode_batch([windows[index] for index in group]), strict=True)
        return [decoded[index] for index in range(len(windows))]

    def _decode_batch(self, batch: list[_Window]) -> list[_DecodedWindow]:
        """Continue what was said before each window, and decode alone what continues nothing."""
        decoded = self._continue(batch)
        alone = [row for row in range(len(batch)) if row not in decoded]
        if alone:
            windows = [batch[row].alone for row in alone]
            decoded |= zip(alone, self._decode_alone(windows), strict=True)
        return [decoded[row] for row in range(len(batch))]

    def _decode_alone(self, batch: list[_Window]) -> list[_DecodedWindow]:
        encoded = self._encode(batch)
        languages = self._languages(encoded, batch)
        shown = [row for row, window in enumerate(batch) if not _is_guess(window, *languages[row])]
        decoded = [_DecodedWindow(_NO_TEXT, (), *language, no_speech=0.0) for language in languages]
        if shown:
            rows = self._decode_rows(
                _rows(encoded, shown),
                [batch[row] for row in shown],
                [languages[row] for row in shown],
            )
            for row, part in zip(shown, rows, strict=True):
                decoded[row] = part
        return decoded

    def _continue(self, batch: Sequence[_Window]) -> dict[int, _DecodedWindow]:
        """Return the texts that follow what was said before, by row, without rows with a fault.

        A row continues only what was said in its own language.
        """
        rows = [
            row
            for row, window in enumerate(batch)
            if window.previous is not None
            and window.previous.language is not None
            and self._known_language(window) in (None, window.previous.language)
        ]
        continued: dict[int, _DecodedWindow] = {}
        samples = [self._row_samples(_heard(batch[row])) for row in rows]
        for group in batches(samples, budget=self._budget, min_fill=1):
            windows = [replace(batch[rows[place]], samples=samples[place]) for place in group]
            encoded = self._encode(windows)
            languages = self._followed_languages(encoded, windows)
            same = [row for row, language in enumerate(languages) if language is not None]
            if not same:
                continue
            parts = self._decode_rows(
                _rows(encoded, same),
                [windows[row] for row in same],
                [language for language in languages if language is not None],
            )
            continued |= {
                rows[group[row]]: part
                for row, part in zip(same, parts, strict=True)
                if not self._continues_badly(windows[row], part)
            }
        return continued

    def _followed_languages(
        self, encoded: Any, batch: Sequence[_Window]
    ) -> list[tuple[str, float | None] | None]:
        """Return the language of each row, and its probability if detected; None if it is not that before.

        It is detected in the part of the encoder's output that belongs to the window itself. The sound before
        has an influence there, but only on very short windows.
        """
        known = [self._known_language(window) for window in batch]
        if all(known):
            return [(language, None) for language in known if language]
        outputs: Floats = np.array(encoded.to_device(ctranslate2.Device.cpu))
        return [
            (language, None) if language else self._followed_language(output, window)
            for language, output, window in zip(known, outputs, batch, strict=True)
        ]

    def _followed_language(self, output: Floats, window: _Window) -> tuple[str, float] | None:
        """Detect the language in the encoder's output (positions, width) of one row; see above."""
        assert window.previous is not None
        skipped = (len(_heard(window).samples) - len(window.clip.samples)) // SAMPLES_PER_POSITION
        (detected,) = self._detect_languages(_view(output[None, skipped:]))
        language, probability = choose_language(detected, None, window.options.languages)
        is_same = language == window.previous.language and probability >= MIN_LANGUAGE_PROBABILITY
        return (language, probability) if is_same else None

    def _continues_badly(self, window: _Window, part: _DecodedWindow) -> bool:
        """Return whether a text that follows the one before it has a fault, so that it is decoded alone.

        Whisper may begin the text of the whole sound again, at once or later: then there is a loop from the
        text before on.
        """
        before, ids = _before(window), part.text.ids
        return (
            not any(letter.isalnum() for letter in self._token_decoder.decode_text(ids))
            or self._fault(window, part) is not None
            or find_loop([*before, *ids]) is not None
            or (len(ids) >= MIN_BLOCK and tuple(ids[:MIN_BLOCK]) == before[:MIN_BLOCK])
            or self._is_inside_word(before[-1], ids[0])
        )

    def _is_inside_word(self, last: int, first: int) -> bool:
        """Return whether the boundary of two tokens lies inside a word."""
        before, after = self._vocabulary.decode([last]), self._vocabulary.decode([first])
        return before[-1:].isalnum() and after[:1].isalnum()

    def _without_marks(self, text: _Text) -> _Text:
        """Return the text without the punctuation at its start, which belongs to the text before."""
        ids = text.ids
        while ids and self._is_mark(ids[0]):
            ids = ids[1:]
        return replace(text, ids=ids)

    def _is_mark(self, token: int) -> bool:
        """Return whether a token is punctuation without a space before it."""
        spelled = self._vocabulary.decode([token])
        return all(unicodedata.category(letter).startswith("P") for letter in spelled)

    def _decode_rows(
        self, encoded: Any, batch: list[_Window], languages: Sequence[tuple[str, float | None]]
    ) -> list[_DecodedWindow]:
        starts = [
            self._start_tokens(language, window.options)
            for (language, _), window in zip(languages, batch, strict=True)
        ]
        prefixes = [
            [*window.prompt, *start, self._no_timestamps, *_before(window)]
            for window, start in zip(batch, starts, strict=True)
        ]
        limits = [
            token_limit(_limited_seconds(window), POSITIONS - len(prefix))
            for window, prefix in zip(batch, prefixes, strict=True)
        ]
        temperature = batch[0].options.temperature
        # After a text, the end of the text may come at once: then there is nothing that continues it.
        ways = {"suppress_blank": batch[0].previous is None, "may_repeat": batch[0].may_repeat}
        # Finals and partials share the steps of the decoder: two searches would read its weights twice.
        beams = 1 if temperature or all(window.partial for window in batch) else self._final_beams
        skipped = [len(_before(window)) for window in batch]
        results = self._generate(encoded, prefixes, max(limits), temperature, beams, **ways)

        def decode_row(row: int, beams: int) -> Any:
            only = _rows(encoded, [row])
            (result,) = self._generate(only, [prefixes[row]], limits[row], temperature, beams, **ways)
            return result

        for row, limit in enumerate(limits):
            length = len(results[row].sequences_ids[0])
            if length > skipped[row] + limit:
                results[row] = decode_row(row, beams)
            elif beams > 1 and is_sparse(length - skipped[row], batch[row].clip.samples):
                plain = decode_row(row, 1)
                if length < len(plain.sequences_ids[0]) <= skipped[row] + limit:
                    results[row] = plain
        texts = [
            _text(result.sequences_ids[0], result.scores[0], limit, each)
            for result, limit, each in zip(results, limits, skipped, strict=True)
        ]
        if any(skipped):
            texts = [self._without_marks(text) for text in texts]
        aligned = self._align(encoded, batch, starts, texts)
        return [
            _DecodedWindow(text, aligned.get(row, ()), *languages[row], results[row].no_speech_prob)
            for row, text in enumerate(texts)
        ]

    def _start_tokens(self, language: str, options: TranscriptionOptions) -> tuple[int, ...]:
        if not self.translates:
            return (self._start,)
        names = (f"<|{language}|>", f"<|{options.task}|>")
        return (self._start, *map(self._vocabulary.id_of, names))

    def _languages(self, encoded: Any, batch: Sequence[_Window]) -> list[tuple[str, float | None]]:
        """Return the language of each row, with its probability if it was detected.

        The language of a row is detected if none, or an unknown one, is requested.
        """
        known = [self._known_language(window) for window in batch]
        if all(known):
            return [(language, None) for language in known if language]
        return [
            (language, None)
            if language
            else choose_language(probabilities, window.likely_language, window.options.languages)
            for language, probabilities, window in zip(
                known, self._detect_languages(encoded), batch, strict=True
            )
        ]

    def _detect_languages(self, encoded: Any) -> list[dict[str, float]]:
        """Return the probability of each language, for each row."""
        return [
            {name.strip("<|>"): probability for name, probability in row}
            for row in self._model.detect_language(encoded)
        ]

    def _known_language(self, window: _Window) -> str | None:
        """Return the language that is requested, or the only one of the model; None to detect it."""
        if not self.translates:
            return "en"
        return window.options.language if window.options.language in self.languages else None

    def _generate(
        self,
        encoded: Any,
        prefixes: list[list[int]],
        limit: int,
        temperature: float,
        beams: int,
        *,
        suppress_blank: bool = True,
        may_repeat: bool = True,
    ) -> list[Any]:
        """Decode rows.

        limit: most tokens of a row
        temperature: 0 selects the most likely token, more samples it. CTranslate2 takes no seed per call, so
            a sampled text is another one at each call
        beams: texts of a row that are followed at once
        suppress_blank: whether a text has at least one token
        may_repeat: as in _Window
        """
        # CTranslate2 generates no more than half of max_length.
        most = max(2 * limit, limit + max(map(len, prefixes)))
        sampling = {"sampling_topk": 0, "sampling_temperature": temperature} if temperature else {}
        results: list[Any] = self._model.generate(
            encoded,
            prefixes,
            beam_size=beams,
            max_length=most,
            suppress_tokens=self._suppressed,
            return_scores=True,
            return_no_speech_prob=True,
            suppress_blank=suppress_blank,
            no_repeat_ngram_size=0 if may_repeat else UNREPEATED,
            **sampling,
        )
        return results

    def _align(
        self,
        encoded: Any,
        batch: Sequence[_Window],
        starts: Sequence[tuple[int, ...]],
        texts: Sequence[_Text],
    ) -> dict[int, list[TimedToken]]:
        """Return the tokens with times of the rows that need them."""
        wanted = [row for row, window in enumerate(batch) if window.options.words and texts[row].ids]
        aligned: dict[int, list[TimedToken]] = {}
        for start in {starts[row] for row in wanted}:
            rows = [row for row in wanted if starts[row] == start]
            results = self._model.align(
                _rows(encoded, rows),
                list(start),
                [[*_before(batch[row]), *texts[row].ids] for row in rows],
                [2 * _positions(_heard(batch[row])) for row in rows],
            )
            aligned |= {
                row: _timed(batch[row], texts[row].ids, result, self._delay)
                for row, result in zip(rows, results, strict=True)
            }
        return aligned


def _config(folder: Path) -> dict[str, Any]:
    config: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return config


def _published_heads(folder: Path) -> list[tuple[int, int]]:
    return [(layer, head) for layer, head in _config(folder).get("alignment_heads") or ()]


@contextmanager
def _with_heads(folder: Path, heads: Sequence[tuple[int, int]]) -> Iterator[Path]:
    """Yield a folder with the files of a model, but with other alignment heads in its config.json.

    CTranslate2 reads all files while it loads a model, and takes the heads from there only.
    """
    with tempfile.TemporaryDirectory() as name:
        for file in folder.iterdir():
            if file.name != "config.json":
                (Path(name) / file.name).symlink_to(file.resolve())
        (Path(name) / "config.json").write_text(json.dumps(_config(folder) | {"alignment_heads": heads}))
        yield Path(name)


def _unrepeated(window: _Window) -> _Window:
    return replace(window.alone, samples=WINDOW, may_repeat=False)


def _is_guess(window: _Window, language: str, probability: float | None) -> bool:
    """Return whether the text of a partial would probably be in a wrong language, and so is not shown."""
    return (
        window.partial
        and len(window.clip.samples) < UNSURE_SAMPLES
        and probability is not None
        and probability < MIN_LANGUAGE_PROBABILITY
        and language != window.likely_language
    )


def _threads() -> int:
    if set_for_openmp := os.environ.get("OMP_NUM_THREADS", ""):
        return int(set_for_openmp)
    return available_cores()


def _view(array: Floats) -> Any:
    return ctranslate2.StorageView.from_array(np.ascontiguousarray(array))


def _rows(encoded: Any, rows: list[int]) -> Any:
    """Return some rows of the encoder's output, in order; unless they are all, on the CPU."""
    if len(rows) == encoded.shape[0]:
        return encoded
    return _view(np.array(encoded.to_device(ctranslate2.Device.cpu))[rows])


def _before(window: _Window) -> tuple[int, ...]:
    """Return the tokens of the text before."""
    return window.previous.ids if window.previous else ()


def _heard(window: _Window) -> Clip:
    """Return the sound that the encoder takes."""
    return window.previous.clip if window.previous else window.clip


def _limited_seconds(window: _Window) -> float:
    """Return the seconds for the token limit: in a short context, those of the longest clip in such a row."""
    if window.samples < WINDOW and window.previous is None:
        return (window.samples - MARGIN_SAMPLES) / SAMPLE_RATE
    return window.clip.seconds


def _positions(clip: Clip) -> int:
    """Return the number of the encoder's positions that hold a clip."""
    return min(WINDOW // SAMPLES_PER_POSITION, max(1, -(-len(clip.samples) // SAMPLES_PER_POSITION)))


def _text(ids: list[int], score: float, limit: int, skipped: int) -> _Text:
    """Return a text of at most `limit` tokens.

    ids: with the tokens of the text before, which CTranslate2 returns, too, but does not count in the score
    score: sum of the log-probabilities, that of the token that ends the text included, divided by the number
        of the other tokens
    skipped: number of tokens of the text before
    """
    said = ids[skipped:]
    has_ended = len(said) < limit
    return _Text(said, score * len(ids) / max(1, len(said) + has_ended), has_ended)


def _timed(window: _Window, ids: list[int], result: Any, delay: int) -> list[TimedToken]:
    """Return tokens with times in the clip of the window.

    result: alignment of the tokens of the text before and of `ids`, pairs of token and position on a path
        through both
    delay: samples by which the attention is later than the audio
    """
    clip, skipped = window.clip, len(_before(window))
    places, positions = np.array(result.alignments).T
    first = positions[np.searchsorted(places, np.arange(skipped, skipped + len(ids) + 1))]
    places_in_stream = _heard(window).start - delay + first * SAMPLES_PER_POSITION
    samples = np.clip(places_in_stream, clip.start, clip.end).tolist()
    log_probs = np.log(np.maximum(result.text_token_probs[skipped:], 1e-10)).tolist()
    return [
        TimedToken(token, start, end, log_prob)
        for token, (start, end), log_prob in zip(ids, pairwise(samples), log_probs, strict=True)
    ]
