"""Define the Recognizer protocol with its requests, options and hypotheses."""

import zlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, fields
from typing import Final, Literal, Protocol

import numpy as np

from asr.languages import MIN_LANGUAGE_PROBABILITY, SWITCH_PROBABILITY
from audio.clip import SAMPLE_RATE, Clip

Task = Literal["transcribe", "translate"]

MAX_HOTWORDS: Final = 1000
MAX_HOTWORD_CHARS: Final = 100  # characters
MAX_PROMPT_CHARS: Final = 2_000  # A protocol rejects a longer prompt or keeps its end.


class TranscriptionOptionsError(ValueError):
    """An option is out of its range."""


@dataclass(frozen=True, slots=True)
class TranscriptionOptions:
    """Hold the options of a request. A model names unsupported ones in Hypothesis.ignored.

    language: ISO 639-1 code, or None for the model's own choice
    languages: ISO 639-1 codes among which the model chooses without a `language`; () for all that it knows
    prompt: text that may precede the audio
    words: whether to fill Hypothesis.words
    task: transcribe, or translate into English
    temperature: 0..1; 0 gives the most likely text. Above 0 the text is sampled, with a seed from the clip,
        so that the same clip with the same options gives the same text; but CTranslate2 takes no seed
    hotwords: words and phrases that are likely to occur; at most MAX_HOTWORDS of MAX_HOTWORD_CHARS characters

    Raises TranscriptionOptionsError for a temperature out of range, and for too many or too long hotwords.
    """

    language: str | None = None
    prompt: str | None = None
    words: bool = False
    task: Task = "transcribe"
    temperature: float = 0.0
    hotwords: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.temperature <= 1:
            raise TranscriptionOptionsError(f"temperature must be between 0 and 1, not {self.temperature}")
        if len(self.hotwords) > MAX_HOTWORDS:
            raise TranscriptionOptionsError(
                f"hotwords must be at most {MAX_HOTWORDS}, not {len(self.hotwords)}"
            )
        longest = max(map(len, self.hotwords), default=0)
        if longest > MAX_HOTWORD_CHARS:
            raise TranscriptionOptionsError(
                f"hotwords must have at most {MAX_HOTWORD_CHARS} characters each, not {longest}"
            )

    def unsupported(self, supported: Collection[str]) -> tuple[str, ...]:
        """Return the names of the options that differ from their defaults and are not supported.

        supported: names of the options that a model supports
        """
        given = (each.name for each in fields(self) if getattr(self, each.name) not in (each.default, ""))
        return tuple(name for name in given if name not in supported)


@dataclass(frozen=True, slots=True)
class PreviousUtterance:
    """Hold what was said just before a clip.

    clip: from the start of the utterance before to the start of the clip
    text: its final text
    language: ISO 639-1 code of its language; None if that is unsure
    """

    clip: Clip
    text: str
    language: str | None = None


@dataclass(frozen=True, slots=True)
class RecognitionRequest:
    """Hold one clip to transcribe.

    utterance: name of the utterance. Clips with the same name have the same beginning, so an incremental
        recognizer may continue from the last one. "" for a single clip
    partial: whether the result will soon be replaced. A fast result, even "", is then better than a good one
    likely_language: ISO 639-1 code of the language before; a model that detects the language takes this one
        if it is not sure of another
    previous: what was said just before, as an aid that a recognizer may ignore; None if nothing was, or it is
        unknown
    """

    clip: Clip
    options: TranscriptionOptions = TranscriptionOptions()
    utterance: str = ""
    partial: bool = False
    likely_language: str | None = None
    previous: PreviousUtterance | None = None


@dataclass(frozen=True, slots=True)
class Word:
    """Hold a recognized word.

    start, end: samples of the stream, including clip.start
    confidence: 0..1; None if unknown
    speaker: label of the speaker; None unless speakers are distinguished
    overlap: another person speaks at the same time; False unless speakers are distinguished
    """

    text: str
    start: int
    end: int
    confidence: float | None = None
    speaker: str | None = field(default=None, kw_only=True)
    overlap: bool = field(default=False, kw_only=True)


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """Hold the result of a recognizer for a clip.

    text: stripped; "" if there is no speech
    words: in order; () unless requested
    language: ISO 639-1 code of the speech, also if the text is a translation; None if unknown
    confidence: 0..1, exp of the mean log-probability of the tokens; None if unknown
    language_probability: 0..1, of the language if the model detected it or took the likely one; else None
    no_speech_probability: 0..1; None if unknown
    avg_log_prob: mean natural log-probability of the tokens, without the temperature; None if there are no
        tokens or it is unknown
    ignored: names of the given options that the model does not support
    stable_chars: for a partial, the number of characters at the start of the text that later results for the
        same utterance will have too; None if unknown, and then texts that agree decide
    """

    text: str
    words: tuple[Word, ...] = ()
    language: str | None = None
    confidence: float | None = None
    language_probability: float | None = None
    no_speech_probability: float | None = None
    avg_log_prob: float | None = None
    ignored: tuple[str, ...] = ()
    stable_chars: int | None = None

    @property
    def is_language_sure(self) -> bool:
        """Return whether the language was requested, or detected with a sufficient probability."""
        probability = self.language_probability
        return self.language is not None and (probability is None or probability >= MIN_LANGUAGE_PROBABILITY)

    def may_be_in(self, language: str) -> bool:
        """Return whether the text could be in this language if it were the likely one of the request.

        False if it is in this language already.
        """
        probability = self.language_probability
        return language != self.language and probability is not None and probability < SWITCH_PROBABILITY

    @property
    def compression_ratio(self) -> float | None:
        """Return the size of the text divided by its compressed size; None for an empty text.

        A text with a ratio above 2.4 is repetitive (openai/whisper).
        """
        return compression_ratio(self.text) if self.text else None


def compression_ratio(text: str) -> float:
    """Return the size of the text divided by its compressed size, in UTF-8 bytes; 0 for an empty text."""
    plain = text.encode("utf-8", "replace")
    return len(plain) / len(zlib.compress(plain))


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """Describe a loaded model, for /ready, session.created and the log.

    model: hub id, folder name or "pocketsphinx"
    requested: the configured name: auto, a folder …
    family: ctc, transducer, seq2seq, ctranslate2 or pocketsphinx
    device: cpu, cuda:0 …
    dtype: float32, bfloat16 …
    languages: ISO 639-1 codes; () if unknown
    fallback: why this is not the requested model; None if it is
    reason: why `auto` chose this model, or why a Whisper does not run on CTranslate2 as usual; None if there
        is nothing to say
    incremental: whether a clip costs little after partials of the same utterance
    continues: whether the model uses RecognitionRequest.previous
    translates: whether the model supports the task translate
    punctuates: whether the model writes punctuation and capitals; False for bare words
    punctuation_model: name of the model that restores them for a model of bare words; None if there is none
    """

    model: str
    requested: str
    family: str
    device: str
    dtype: str
    languages: tuple[str, ...] = ()
    fallback: str | None = None
    reason: str | None = None
    incremental: bool = False
    continues: bool = False
    translates: bool = False
    punctuates: bool = True
    punctuation_model: str | None = None

    @property
    def summary(self) -> str:
        """Return the description as fields for a log line; many languages are only counted."""
        languages = ",".join(self.languages) if len(self.languages) <= 5 else str(len(self.languages))
        fields = {"model": self.model, "family": self.family, "device": self.device, "dtype": self.dtype}
        text = " ".join(f"{name}={value}" for name, value in fields.items())
        if self.punctuation_model:
            text += f" punctuation_model={self.punctuation_model}"
        reason = f" reason={self.reason!r}" if self.reason else ""
        return f"{text} languages={languages or 'unknown'}{reason}"


class Recognizer(Protocol):
    """Turn clips into text."""

    @property
    def languages(self) -> tuple[str, ...]: ...

    def transcribe(self, requests: Sequence[RecognitionRequest]) -> list[Hypothesis]:
        """Return one hypothesis per request, in order.

        The call blocks, and is made from one thread or process at a time.
        """
        ...


def warm_up(recognizer: Recognizer) -> None:
    """Transcribe one second of silence, so that the first client does not wait for one-time work."""
    recognizer.transcribe([RecognitionRequest(Clip(np.zeros(SAMPLE_RATE, dtype=np.float32)))])
