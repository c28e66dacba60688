"""Choose the sentences of a text that summarize it, without a model.

The method is SumBasic (Nenkova and Vanderwende 2005): a sentence counts by how frequent its words are in the
text, and what a chosen sentence has said counts less from then on.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final

MAX_SENTENCES: Final = 5
SHARE: Final = 0.3  # of the sentences, at most
MIN_TERMS: Final = 4  # A shorter sentence, such as "Yes, I know.", is not chosen while there are longer ones.
MAX_SENTENCE_CHARS: Final = 400  # a longer one, from a model that writes no punctuation, is cut
COMMON: Final = 0.2  # A term in a larger share of the sentences is a function word ...
MIN_SENTENCES_FOR_COMMON: Final = 10  # ... if there are enough of them to tell.
MIN_TERM_CHARS: Final = 4  # Shorter words are mostly function words.

_END: Final = re.compile(r"(?<=[.?!\u2026])\s+|(?<=[\u3002\uff1f\uff01])\s*")
_ABBREVIATION: Final = re.compile(r"\b(?:mr|mrs|ms|dr|st|prof)\.$", re.IGNORECASE)
_WORD: Final = re.compile(r"[^\W\d_]+")
# In scripts without spaces, pairs of characters stand for words.
_UNSPACED: Final = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\u0e00-\u0e7f\u1780-\u17ff]{2,}")


def extractive_summary(texts: Sequence[str]) -> str:
    """Return the sentences that say most of what the texts say, in their order; "" for no text.

    texts: parts of a text, such as its segments; a sentence does not continue over two of them
    """
    sentences = list(_sentences(texts))
    terms = _without_common([Counter(_terms(sentence)) for sentence in sentences])
    total = Counter[str]()
    for each in terms:
        total.update(each)
    count = sum(total.values())
    weights = {term: number / count for term, number in total.items()}
    most = min(MAX_SENTENCES, max(1, round(len(sentences) * SHARE)))
    chosen: set[int] = set()
    while len(chosen) < min(most, len(sentences)):
        best = max(
            (number for number in range(len(sentences)) if number not in chosen),
            key=lambda number: _score(terms[number], weights),
        )
        chosen.add(best)
        for term in terms[best]:
            weights[term] **= 2
    return " ".join(_shortened(sentences[number]) for number in sorted(chosen))


def _score(terms: Counter[str], weights: dict[str, float]) -> float:
    """Return the mean weight of the terms; a sentence with few of them counts less."""
    size = sum(terms.values())
    return sum(weights[term] * number for term, number in terms.items()) / max(size, MIN_TERMS)


def _sentences(texts: Sequence[str]) -> Iterator[str]:
    for text in texts:
        begun = ""
        for part in _END.split(" ".join(text.split())):
            begun = f"{begun} {part}".strip()
            if begun and not _ABBREVIATION.search(begun):
                yield begun
                begun = ""
        if begun:
            yield begun


def _terms(sentence: str) -> Iterator[str]:
    lower = sentence.lower()
    for run in _UNSPACED.findall(lower):
        yield from ("".join(pair) for pair in pairwise(run))
    for word in _WORD.findall(_UNSPACED.sub(" ", lower)):
        if len(word) >= MIN_TERM_CHARS:
            yield word


def _without_common(terms: list[Counter[str]]) -> list[Counter[str]]:
    if len(terms) < MIN_SENTENCES_FOR_COMMON:
        return terms
    found_in = Counter(term for each in terms for term in each)
    common = {term for term, number in found_in.items() if number > COMMON * len(terms)}
    return [Counter({term: number for term, number in each.items() if term not in common}) for each in terms]


def _shortened(sentence: str) -> str:
    if len(sentence) <= MAX_SENTENCE_CHARS:
        return sentence
    kept, space, _ = sentence[:MAX_SENTENCE_CHARS].rpartition(" ")
    return f"{kept if space else sentence[:MAX_SENTENCE_CHARS]} \u2026"
