"""Requests to a recognizer and its answers: Options, Request, Word, Hypothesis, the Recognizer protocol."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from audio.clip import Clip


@dataclass(frozen=True, slots=True)
class Options:
    """What the client asked for. What a model cannot honour it ignores, leaving the twin in the answer None.

    language: ISO 639-1 code, or None for the model's own choice
    prompt: words or text that are likely to occur
    words: fill Hypothesis.words
    """

    language: str | None = None
    prompt: str | None = None
    words: bool = False


@dataclass(frozen=True, slots=True)
class Request:
    """One clip to transcribe.

    utterance: names the utterance; clips with the same name begin alike, so an incremental recognizer may go on
        from where the last one left it. "" for a clip that stands alone
    partial: what is asked for will be replaced soon; a quick answer, even "", is better than a good one
    """

    clip: Clip
    options: Options = Options()
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
    confidence: 0..1, exp of the mean log-probability of the tokens, None when unknown
    """

    text: str
    words: tuple[Word, ...] = ()
    language: str | None = None
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class Description:
    """What runs: told in /ready, in session.created and in the log.

    model: the id, folder name or "pocketsphinx"; requested: the ASR_MODEL setting
    family: ctc, transducer, seq2seq or pocketsphinx; device: cpu, cuda:0 …; dtype: float32, bfloat16 …
    languages: ISO 639-1 codes, () when unknown; fallback: why this is not what was asked for, None if it is
    incremental: a clip costs little where most of it was heard in the utterance's partials
    """

    model: str
    requested: str
    family: str
    device: str
    dtype: str
    languages: tuple[str, ...] = ()
    fallback: str | None = None
    incremental: bool = False


class Recognizer(Protocol):
    """A model that turns clips into text."""

    @property
    def languages(self) -> tuple[str, ...]: ...

    def transcribe(self, requests: Sequence[Request]) -> list[Hypothesis]:
        """One hypothesis per request, in order. Blocking; called from one thread (or process) at a time."""
        ...
