"""Split the words of a transcript into sentences, and these into paragraphs."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from asr.recognizer import Word
from audio.clip import ms_from_samples

PARAGRAPH_GAP_MS: Final = 2_000  # pause that begins a new paragraph
MAX_SENTENCES: Final = 5  # in a paragraph

_SENTENCE_ENDS: Final = (".", "?", "!", "\u3002", "\uff1f", "\uff01")

# Words whose point does not end a sentence: more of it follows.
ABBREVIATIONS: Final = frozenset({"mr.", "mrs.", "ms.", "dr.", "st.", "prof."})

Sentence = Sequence[Word]  # has at least one word


def paragraphs_of(segments: Iterable[Sequence[Word]]) -> Iterator[list[Sentence]]:
    """Yield the paragraphs of a transcript, each as a list of its sentences.

    A paragraph ends after MAX_SENTENCES sentences, and at a pause of PARAGRAPH_GAP_MS between two sentences.

    segments: the words of each segment, in order of time; a sentence does not continue over two segments
    """
    paragraph: list[Sentence] = []
    for sentence in (sentence for words in segments for sentence in sentences_of(words)):
        if paragraph and (len(paragraph) == MAX_SENTENCES or _is_pause(paragraph[-1], sentence)):
            yield paragraph
            paragraph = []
        paragraph.append(sentence)
    if paragraph:
        yield paragraph


def sentences_of(words: Iterable[Word]) -> Iterator[Sentence]:
    """Yield sentences, which end with a word that ends with punctuation, or with the last word."""
    sentence: list[Word] = []
    for word in words:
        sentence.append(word)
        if ends_sentence(word):
            yield sentence
            sentence = []
    if sentence:
        yield sentence


def ends_sentence(word: Word) -> bool:
    """Return whether a word ends with the punctuation of a sentence, and not with that of a title (Mr.)."""
    return word.text.endswith(_SENTENCE_ENDS) and word.text.lower() not in ABBREVIATIONS


def _is_pause(before: Sentence, after: Sentence) -> bool:
    return ms_from_samples(after[0].start - before[-1].end) >= PARAGRAPH_GAP_MS
