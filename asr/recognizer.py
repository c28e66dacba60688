"""Requests to a recognizer and its answers: Options, Request, Word, Hypothesis, the Recognizer protocol."""

import zlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields
from typing import Final, Literal, Protocol

from audio.clip import Clip

Task = Literal["transcribe", "translate"]

MOST_HOTWORDS: Final = 1000
LONGEST_HOTWORD: Final = 100  # characters
MAX_PROMPT_CHARS: Final = 2_000  # of a prompt; a protocol refuses a longer one or keeps its end


class TranscriptionOptionsError(ValueError):
    """An option out of its range."""


@dataclass(frozen=True, slots=True)
class TranscriptionOptions:
    """What the client asked for. What a model cannot honour it names in Hypothesis.ignored.

    language: ISO 639-1 code, or None for the model's own choice
    prompt: text that may have come before
    words: fill Hypothesis.words
    task: translate is into English
    temperature: 0..1; 0 is the likeliest text. Above it the text is drawn, by lots that hang on the clip
        alone: the same clip with the same options gives the same text
    hotwords: words and phrases that are likely to occur; MOST_HOTWORDS at most, of LONGEST_HOTWORD at most

    Raises OptionsError for a temperature out of range, and for too many or too long hotwords.
    """

    language: str | None = None
    prompt: str | None = None
    words: bool = False
    task: Task = "transcribe"
    temperature: float = 0.0
    hotwords: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.temperature <= 1:
            raise TranscriptionOptionsError(f"temperature must be between 0 and 1, not {self.temperature}")
        if len(self.hotwords) > MOST_HOTWORDS:
            raise TranscriptionOptionsError(
                f"hotwords must be at most {MOST_HOTWORDS}, not {len(self.hotwords)}"
            )
        longest = max(map(len, self.hotwords), default=0)
        if longest > LONGEST_HOTWORD:
            raise TranscriptionOptionsError(
                f"hotwords must have at most {LONGEST_HOTWORD} characters each, not {longest}"
            )

    def beyond(self, honoured: Collection[str]) -> tuple[str, ...]:
        """Names of the options that were given, by a value other than the default, and are not honoured."""
        given = (each.name for each in fields(self) if getattr(self, each.name) not in (each.default, ""))
        return tuple(name for name in given if name not in honoured)


@dataclass(frozen=True, slots=True)
class RecognitionRequest:
    """One clip to transcribe.

    utterance: names the utterance; clips with the same name begin alike, so an incremental recognizer may go
        on from where the last one left it. "" for a clip that stands alone
    partial: what is asked for will be replaced soon; a quick answer, even "", is better than a good one
    """

    clip: Clip
    options: TranscriptionOptions = TranscriptionOptions()
    utterance: str = ""
    partial: bool = False


@dataclass(frozen=True, slots=True)
class Word:
    """start, end: samples of the stream (clip.start counted in); confidence: 0..1, None when unknown."""

    text: str
    start: int
    end: int
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """What a recognizer says about a clip; promises nothing.

    text: stripped, "" when nothing was said
    language: of the speech, also where the text is a translation
    confidence: 0..1, exp of the mean log-probability of the tokens, None when unknown
    language_probability: 0..1, of a language that the model chose; None when it had no choice
    no_speech_probability: 0..1, None when the model does not tell
    avg_log_prob: mean natural log-probability of the tokens, whatever the temperature; None when there are
        none or the model does not tell
    ignored: names of the options that were given and could not be honoured
    settled: of a partial, how many characters of the text, from its beginning, a later answer about the same
        utterance will have too; None when the model does not tell
    """

    text: str
    words: tuple[Word, ...] = ()
    language: str | None = None
    confidence: float | None = None
    language_probability: float | None = None
    no_speech_probability: float | None = None
    avg_log_prob: float | None = None
    ignored: tuple[str, ...] = ()
    settled: int | None = None

    @property
    def compression_ratio(self) -> float | None:
        """Bytes of the text to its bytes deflated, as openai/whisper counts it: above 2.4 it repeats itself.

        None for no text.
        """
        return compression_ratio(self.text) if self.text else None


def compression_ratio(text: str) -> float:
    """0 for no text."""
    plain = text.encode("utf-8", "replace")
    return len(plain) / len(zlib.compress(plain))


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What runs: told in /ready, in session.created and in the log.

    model: the id, folder name or "pocketsphinx"; requested: what was asked for: auto, a folder …
    family: ctc, transducer, seq2seq or pocketsphinx; device: cpu, cuda:0 …; dtype: float32, bfloat16 …
    languages: ISO 639-1 codes, () when unknown; fallback: why this is not what was asked for, None if it is
    incremental: a clip costs little where most of it was heard in the utterance's partials
    translates: it honours the task translate
    """

    model: str
    requested: str
    family: str
    device: str
    dtype: str
    languages: tuple[str, ...] = ()
    fallback: str | None = None
    incremental: bool = False
    translates: bool = False


class Recognizer(Protocol):
    """A model that turns clips into text."""

    @property
    def languages(self) -> tuple[str, ...]: ...

    def transcribe(self, requests: Sequence[RecognitionRequest]) -> list[Hypothesis]:
        """One hypothesis per request, in order. Blocking; called from one thread (or process) at a time."""
        ...
