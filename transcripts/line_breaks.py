"""Find where a line of text may end, in scripts with and without spaces, and how wide a text is."""

import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise
from typing import Final

SENTENCE_ENDS: Final = tuple(".?!\u2026\u3002\uff1f\uff01\u0964\u06d4\u061f")
CLAUSE_ENDS: Final = tuple(",;:\u2014\u3001\uff0c\uff1b\uff1a\u060c")

# First and last code points of scripts that put no space between words: Thai and Lao, Myanmar, Khmer, and
# Chinese and Japanese with their punctuation and full-width forms. Korean has spaces.
_UNSPACED: Final = (
    *((0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x2E80, 0x312F), (0x31F0, 0x31FF)),
    *((0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0xFF01, 0xFF9D), (0x20000, 0x3FFFF)),
)
# Characters that do not begin a line: closing punctuation, small kana and marks of length and repetition
# (JIS X 4051), and Thai and Lao vowels that follow their consonant.
_NOT_FIRST: Final = frozenset(
    ".,:;!?%)]}'\"\u00bb\u2019\u201d\u2026\u2030\u2103"
    "\u3001\u3002\uff0c\uff0e\uff1a\uff1b\uff01\uff1f\uff09\uff3d\uff5d\u3009\u300b\u300d\u300f\u3011\u3015"
    "\u3005\u303b\u30fb\u30fc\u309d\u309e\u30fd\u30fe\u30a0\u301c"
    "\u3041\u3043\u3045\u3047\u3049\u3063\u3083\u3085\u3087\u308e\u3095\u3096"
    "\u30a1\u30a3\u30a5\u30a7\u30a9\u30c3\u30e3\u30e5\u30e7\u30ee\u30f5\u30f6"
    "\u0e30\u0e32\u0e33\u0e45\u0e46\u0e2f\u0eb0\u0eb2\u0eb3\u0ec6\u0eaf"
)
# Characters that do not end a line: opening punctuation, currency signs, and vowels before their consonant.
_NOT_LAST: Final = frozenset(
    "([{$#@\u00a3\u00a5\u20ac\u00ab\u2018\u201c\uff08\uff3b\uff5b\u3008\u300a\u300c\u300e\u3010\u3014\uff04\uffe5"
    "\u0e40\u0e41\u0e42\u0e43\u0e44\u0ec0\u0ec1\u0ec2\u0ec3\u0ec4"
)
_JOINER: Final = "\u200d"


def columns(text: str) -> int:
    """Return a text's width: 2 for a wide (Chinese, Japanese, Korean) character, 0 for marks, else 1."""
    return len(text) if text.isascii() else sum(map(_width, text))


def unbroken_pieces(text: str, max_columns: int) -> Iterator[str]:
    """Yield the pieces between which a line may end; together they are the text.

    A piece ends with the space that follows it. In scripts without spaces a line may end between most
    characters: there is no dictionary of words here. A piece that is wider than `max_columns` is divided.
    """
    breaks = (place for place in range(1, len(text)) if _may_break(text[place - 1], text[place]))
    for start, end in pairwise([0, *breaks, len(text)]):
        piece = text[start:end]
        if columns(piece.rstrip()) <= max_columns:
            yield piece
        else:
            yield from _divided(piece, max_columns)


def is_unspaced(char: str) -> bool:
    """Return whether a character belongs to a script without spaces between words."""
    code = ord(char)
    return code >= _UNSPACED[0][0] and any(first <= code <= last for first, last in _UNSPACED)


@lru_cache(maxsize=4096)
def _width(char: str) -> int:
    if unicodedata.category(char) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def _may_break(before: str, after: str) -> bool:
    if before.isspace() or after.isspace():
        return not after.isspace()
    if not (is_unspaced(before) or is_unspaced(after)) or _continues(before, after):
        return False
    return after not in _NOT_FIRST and before not in _NOT_LAST


def _continues(before: str, after: str) -> bool:
    """Return whether two characters are drawn as one: a mark, or a part of a joined sequence."""
    return _JOINER in (before, after) or unicodedata.category(after).startswith("M")


def _divided(piece: str, max_columns: int) -> Iterator[str]:
    start, width = 0, 0
    for place, char in enumerate(piece):
        added = 0 if char.isspace() else _width(char)
        drawn_alone = place > start and not _continues(piece[place - 1], char)
        # A sequence without end is divided in its middle, so that no piece is wider.
        if place > start and width + added > max_columns and (drawn_alone or added):
            yield piece[start:place]
            start, width = place, 0
        width += added
    yield piece[start:]
