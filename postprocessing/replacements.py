"""Replace terms that a client names, as whole words and in any case."""

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache

from postprocessing.edits import Edit


def replaced_terms(text: str, replacements: Sequence[tuple[str, str]]) -> Iterator[Edit]:
    """Yield the terms of a text, with their replacements; the longest term at a place counts.

    replacements: terms, and what stands in their place
    """
    found_by = {_key(term): replacement for term, replacement in replacements}
    for found in _pattern(tuple(found_by)).finditer(text):
        yield Edit(*found.span(), found_by[_key(found[0])])


def _key(term: str) -> str:
    return " ".join(term.lower().split())


@lru_cache(maxsize=64)
def _pattern(terms: tuple[str, ...]) -> re.Pattern[str]:
    longest_first = sorted(terms, key=len, reverse=True)
    spelled = (r"\s+".join(map(re.escape, term.split())) for term in longest_first)
    # Not \b: a term may begin or end with a sign, such as C++.
    return re.compile(rf"(?<!\w)(?:{'|'.join(spelled)})(?!\w)", re.IGNORECASE)
