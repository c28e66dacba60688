"""Words as Deepgram's API has them: bare and punctuated, each with its time and confidence. Pure."""

import re
from collections.abc import Iterator, Sequence
from functools import reduce
from typing import Any, Final

from asr.recognizer import Hypothesis, Word
from audio.clip import seconds_from_samples
from streaming.local_agreement import joined, pieces

# Signs at either end of a word, and those of scripts without spaces wherever they stand. What is inside of a
# word, as in don't and 3.5, belongs to it.
_SIGNS: Final = re.compile(r"^[\W_]+|[\W_]+$|[\u3001\u3002\uff01\uff0c\uff1a\uff1b\uff1f]")

Fields = dict[str, Any]


def seconds(samples: int) -> float:
    """To the millisecond."""
    return round(seconds_from_samples(samples), 3)


def bare(text: str) -> str:
    """Without signs and capitals; "" where there is nothing else."""
    return " ".join(filter(None, (_SIGNS.sub("", word) for word in text.lower().split())))


def together(texts: Sequence[str]) -> str:
    """Words as a text."""
    return reduce(joined, texts, "")


def timed(hypothesis: Hypothesis, start: int, end: int) -> tuple[Word, ...]:
    """The words of what was said in the samples [start, end), each with a confidence.

    Where the recognizer knows no times, the time that is there is shared out by the letters of the words.
    A word without a confidence has that of the whole; 0 where that is not known either.
    """
    words = hypothesis.words or tuple(_shared_out(pieces(hypothesis.text), start, end))
    whole = hypothesis.confidence or 0.0
    return tuple(
        Word(word.text, word.start, word.end, whole if word.confidence is None else word.confidence)
        for word in words
    )


def _shared_out(texts: Sequence[str], start: int, end: int) -> Iterator[Word]:
    letters = [len(text.strip()) for text in texts]
    total, before = sum(letters), 0
    for text, count in zip(texts, letters, strict=True):
        edges = (start + (end - start) * place // total for place in (before, before + count))
        yield Word(text.strip(), *edges)
        before += count


def word_fields(word: Word, formatted: bool, diarized: bool) -> Fields:
    """formatted: with the word as the recognizer wrote it; diarized: with the one speaker there is."""
    fields: Fields = {
        "word": bare(word.text),
        "start": seconds(word.start),
        "end": seconds(word.end),
        "confidence": word.confidence,
    }
    if diarized:
        fields["speaker"] = 0
    return fields | ({"punctuated_word": word.text} if formatted else {})


def words_fields(words: Sequence[Word], formatted: bool, diarized: bool) -> list[Fields]:
    """Of all but those that are nothing but signs."""
    return [fields for word in words if (fields := word_fields(word, formatted, diarized))["word"]]


def shown(text: str, formatted: bool) -> str:
    return text if formatted else bare(text)
