"""Format words for Deepgram's API: plain and punctuated, with time and confidence. Pure."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import reduce
from typing import Final

from asr.recognizer import Hypothesis, Word
from audio.clip import seconds_from_samples
from diarization.known_speakers import number_of
from server.protocols.deepgram.messages import DeepgramWord
from streaming.local_agreement import join_texts, pieces

# Punctuation at either end of a word, and anywhere that of scripts without spaces. Punctuation inside of a
# word, as in don't and 3.5, belongs to the word, and so do the signs of $5 and 5%.
_PUNCTUATION: Final = re.compile(
    r"^(?:(?![$\u00a3\u20ac]\d)[\W_])+|(?:(?!(?<=\d)%)[\W_])+$|[\u3001\u3002\uff01\uff0c\uff1a\uff1b\uff1f]"
)
_MASK: Final = re.compile(r"\[[A-Z_]+\]|\*{2,}")  # what stands in the place of a redacted or rude word


def seconds(samples: int) -> float:
    """Return seconds, rounded to milliseconds."""
    return round(seconds_from_samples(samples), 3)


def normalize(text: str) -> str:
    """Return the text in lower case without punctuation; masks stay as they are."""
    return " ".join(filter(None, map(_plain, text.split())))


def _plain(word: str) -> str:
    mask = _MASK.search(word)
    return mask[0] if mask else _PUNCTUATION.sub("", word.lower())


def join_words(texts: Sequence[str]) -> str:
    """Join words to a text."""
    return reduce(join_texts, texts, "")


def timed_words(hypothesis: Hypothesis, start: int, end: int) -> tuple[Word, ...]:
    """Return the words of a hypothesis for the samples [start, end), each with times and a confidence.

    If the recognizer reports no times, the words share the samples in proportion to their lengths. A word
    without a confidence gets that of the hypothesis, or 0 if that is unknown.
    """
    words = hypothesis.words or tuple(_share_time(pieces(hypothesis.text), start, end))
    whole = hypothesis.confidence or 0.0
    return tuple(
        replace(word, confidence=whole if word.confidence is None else word.confidence) for word in words
    )


def _share_time(texts: Sequence[str], start: int, end: int) -> Iterator[Word]:
    lengths = [len(text.strip()) for text in texts]
    total, before = sum(lengths), 0
    for text, count in zip(texts, lengths, strict=True):
        edges = (start + (end - start) * place // total for place in (before, before + count))
        yield Word(text.strip(), *edges)
        before += count


def word_fields(word: Word, formatted: bool, diarized: bool) -> DeepgramWord:
    """Return the fields of a word.

    formatted: add the word as the recognizer wrote it
    diarized: add the number of the speaker
    """
    fields = DeepgramWord(
        word=normalize(word.text),
        start=seconds(word.start),
        end=seconds(word.end),
        confidence=word.confidence,
    )
    if diarized:
        fields["speaker"] = number_of(word.speaker)
    if formatted:
        fields["punctuated_word"] = word.text
    return fields


def words_fields(words: Sequence[Word], formatted: bool, diarized: bool) -> list[DeepgramWord]:
    """Return the fields of all words that are not only punctuation."""
    return [fields for word in words if (fields := word_fields(word, formatted, diarized))["word"]]


def format_text(text: str, formatted: bool) -> str:
    """Return the text as it is, or normalized if it is not `formatted`."""
    return text if formatted else normalize(text)
