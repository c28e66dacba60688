"""Write English numbers with digits ("twenty five percent" as "25%"), in text without any formatting.

Covered are cardinals up to billions, ordinals from tenth on, decimals, sequences of digits, years that are
read in two halves, percent, dollars, euros and cents. A single number below ten stays a word, as books of
style ask for, unless a unit or a decimal follows. Dates, times and fractions stay as they are.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import takewhile
from typing import Final, NamedTuple

from postprocessing.edits import Edit
from postprocessing.spoken_numbers import DIGITS, HUNDRED, ORDINALS, REPEATS, SCALES, TENS, UNITS, ZEROS

MIN_ALONE: Final = 10  # A smaller number is written with digits only before a unit.
MIN_SEQUENCE: Final = 3  # numbers that follow each other are digits of one
MIN_COMMAS: Final = 10_000
_BARE: Final = re.compile(r"[a-z' -]*")
_WORD: Final = re.compile(r"[a-z']+")
_SUFFIXES: Final = {1: "st", 2: "nd", 3: "rd"}
_CURRENCIES: Final = {"dollar": "$", "dollars": "$", "euro": "\u20ac", "euros": "\u20ac"}
_CENTS: Final = frozenset({"cent", "cents"})
_CENTURIES: Final = range(16, 21)  # the first half of a year; smaller ones are times of day
_SECOND_HALVES: Final = range(10, 100)


class _Found(NamedTuple):
    """Hold a number in a sequence of words; `end`: the index of the word after it."""

    end: int
    value: int


class _Written(NamedTuple):
    """Hold what is written for the words up to `end`."""

    end: int
    text: str


def is_bare(text: str) -> bool:
    """Return whether a text has only English letters of one case, as some models write it."""
    return _BARE.fullmatch(text.lower()) is not None and (text.islower() or text.isupper())


def numerals(text: str) -> Iterator[Edit]:
    """Yield the numbers of a bare text, written with digits; nothing for a text that is formatted."""
    if not is_bare(text):
        return
    matches = list(_WORD.finditer(text.lower()))
    words = [match[0] for match in matches]
    place = 0
    while place < len(words):
        written = _sequence(words, place) or _amount(words, place)
        if written is not None:
            shown = written.text.upper() if text.isupper() else written.text
            yield Edit(matches[place].start(), matches[written.end - 1].end(), shown)
        place = place + 1 if written is None else written.end


def _sequence(words: Sequence[str], place: int) -> _Written | None:
    """Return numbers that follow each other, as digits of one, or a year that is read in two halves."""
    texts: list[str] = []
    end, repeat = place, 1
    while end < len(words):
        small = _small(words, end)
        if words[end] in REPEATS and end + 1 < len(words) and words[end + 1] in DIGITS:
            repeat, end = REPEATS[words[end]], end + 1
            continue
        if small is None and words[end] in ZEROS and texts:
            small = _Found(end + 1, 0)
        if small is None:
            break
        texts += [str(small.value)] * repeat
        end, repeat = small.end, 1
    if end < len(words) and words[end] in (HUNDRED, *SCALES, "point"):
        return None
    if len(texts) >= MIN_SEQUENCE and not (
        len(texts) == 3 and texts[1] == "0" and int(texts[0]) in _CENTURIES
    ):
        return _Written(end, "".join(texts))
    return _year(texts, end)


def _year(texts: Sequence[str], end: int) -> _Written | None:
    if len(texts) < 2 or int(texts[0]) not in _CENTURIES:
        return None
    rest = "".join(texts[1:])
    return _Written(end, texts[0] + rest) if int(rest) in _SECOND_HALVES or rest[0] == "0" else None


def _amount(words: Sequence[str], place: int) -> _Written | None:
    """Return a cardinal, an ordinal or a decimal, with its unit."""
    number = _cardinal(words, place)
    if number is None:
        ordinal = ORDINALS.get(words[place], 0)
        return _Written(place + 1, _ordinal(ordinal)) if ordinal >= MIN_ALONE else None
    end, value = number
    following = words[end] if end < len(words) else ""
    if ORDINALS.get(following, MIN_ALONE) < MIN_ALONE and value % 100 >= 20 and value % 10 == 0:
        return _Written(end + 1, _ordinal(value + ORDINALS[following]))
    text, is_alone = _grouped(value), value < MIN_ALONE
    decimals = _decimals(words, end)
    if decimals:
        text, is_alone = f"{text}.{decimals}", False
        end += 1 + len(decimals)
    elif value % 1_000_000 == 0 and value and words[end - 1] in ("million", "billion"):
        scale = SCALES[words[end - 1]]
        text, is_alone = f"{_grouped(value // scale)} {words[end - 1]}", False
    return _with_unit(words, end, text) or (None if is_alone else _Written(end, text))


def _with_unit(words: Sequence[str], end: int, text: str) -> _Written | None:
    if list(words[end : end + 2]) == ["per", "cent"]:
        return _Written(end + 2, f"{text}%")
    unit = words[end] if end < len(words) else ""
    if unit == "percent":
        return _Written(end + 1, f"{text}%")
    if unit in _CENTS:
        return _Written(end + 1, f"{text} {unit}")
    if unit in SCALES and "." in text:
        scaled = f"{text} {unit}"
        return _with_unit(words, end + 1, scaled) or _Written(end + 1, scaled)
    if unit not in _CURRENCIES:
        return None
    place = end + 2 if list(words[end + 1 : end + 2]) == ["and"] else end + 1
    cents = _small(words, place)
    if cents is not None and cents.end < len(words) and words[cents.end] in _CENTS and text.isdecimal():
        return _Written(cents.end + 1, f"{_CURRENCIES[unit]}{text}.{cents.value:02}")
    return _Written(end + 1, f"{_CURRENCIES[unit]}{text}")


def _cardinal(words: Sequence[str], place: int) -> _Found | None:
    """Return the longest cardinal from a word on, such as two thousand three hundred and five."""
    total, end, limit = 0, place, max(SCALES.values()) * 1_000
    while True:
        start = end + 1 if end > place and words[end : end + 1] == ["and"] else end
        group = _group(words, start)
        if group is None:
            break
        scale = SCALES.get(words[group.end], 1) if group.end < len(words) else 1
        if scale >= limit or (end > place and group.value * scale >= limit):
            break
        total, end, limit = total + group.value * scale, group.end + (scale > 1), scale
        if scale == 1:
            break
    return _Found(end, total) if end > place else None


def _group(words: Sequence[str], place: int) -> _Found | None:
    """Return a number below a thousand, or a number of hundreds below a hundred."""
    small = _small(words, place)
    if small is None or words[small.end : small.end + 1] != [HUNDRED] or not small.value:
        return small
    end, value = small.end + 1, small.value * 100
    rest = _small(words, end + 1 if words[end : end + 1] == ["and"] else end)
    return _Found(end, value) if rest is None else _Found(rest.end, value + rest.value)


def _small(words: Sequence[str], place: int) -> _Found | None:
    """Return a number below a hundred."""
    word = words[place] if place < len(words) else ""
    if word in UNITS:
        return _Found(place + 1, UNITS[word])
    if word not in TENS:
        return None
    unit = DIGITS.get(words[place + 1], 0) if place + 1 < len(words) else 0
    return _Found(place + 1 + (unit > 0), TENS[word] + unit)


def _decimals(words: Sequence[str], end: int) -> str:
    """Return the digits after a point."""
    if words[end : end + 1] != ["point"]:
        return ""
    digits = takewhile(lambda word: word in DIGITS or word in ZEROS, words[end + 1 :])
    return "".join(str(DIGITS.get(word, 0)) for word in digits)


def _grouped(value: int) -> str:
    return f"{value:,}" if value >= MIN_COMMAS else str(value)


def _ordinal(value: int) -> str:
    return f"{value}{'th' if 10 < value % 100 < 20 else _SUFFIXES.get(value % 10, 'th')}"
