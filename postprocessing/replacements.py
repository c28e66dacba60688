"""Replace terms that a client names, as whole words and in any case."""

import unicodedata
from collections.abc import Iterator, Sequence

from postprocessing.edits import Edit


def replaced_terms(text: str, replacements: Sequence[tuple[str, str]]) -> Iterator[Edit]:
    """Yield the terms of a text, with their replacements.

    A term inside of a word is not found. In scripts without capitals, some of which have no spaces either, it
    is found anywhere.

    replacements: terms, and what stands in their place
    """
    plain = _plain(text)
    for term, replacement in replacements:
        key = _plain(" ".join(term.split()))
        start = plain.find(key)
        while start >= 0:
            end = start + len(key)
            if not (_continues(plain, start, -1) or _continues(plain, end, 0)):
                yield Edit(start, end, replacement)
            start = plain.find(key, start + 1)


def _plain(text: str) -> str:
    """Return the text in lower case with spaces; each character stays in its place."""
    if text.isascii():
        return text.lower()
    lower = ((char, char.lower()) for char in text)
    return "".join(" " if char.isspace() else low if len(low) == 1 else char for char, low in lower)


def _continues(text: str, place: int, side: int) -> bool:
    """Return whether a word continues beyond a place; side: -1 before it, 0 after it."""
    if not 0 <= place + side < len(text):
        return False
    char = text[place + side]
    return char == "_" or (char.isalnum() and unicodedata.category(char) != "Lo")
