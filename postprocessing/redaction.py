"""Find what must not be seen in a text: numbers, payment cards, social security and phone numbers, e-mail.

They are found by pattern, in digits of any script and in English words ("four one one one"). Rather too much
is redacted than too little: recognizers mishear digits, so no check sum is asked for. Names, addresses and
health are not covered, because no pattern finds them.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from postprocessing.edits import Edit
from postprocessing.options import Redaction
from postprocessing.spoken_numbers import DIGITS, HUNDRED, ORDINALS, REPEATS, SCALES, TENS, UNITS, ZEROS

MIN_NUMBER_DIGITS: Final = 3
CARD_DIGITS: Final = range(13, 10_000)  # A card's number is often followed by its date and code.
SSN_DIGITS: Final = 9
LONG_SSN_DIGITS: Final = range(9, 13)  # with digits that were heard twice
PHONE_DIGITS: Final = range(7, 16)

_ORDINALS: Final = ORDINALS.keys() - {"first", "second"}  # which mostly are no numbers
_WORDS: Final = frozenset({*UNITS, *TENS, *SCALES, HUNDRED, *_ORDINALS})
_BEFORE: Final = frozenset(
    {*ZEROS, *REPEATS, "plus", "+", "("}
)  # the beginning of a number, if digits follow
_BETWEEN: Final = frozenset(  # what may stand between two digits
    {"point", "dash", "hyphen", "slash", "dot", "plus", "um", "uh", "er", *REPEATS}
    | {*"-\u2010\u2011\u2012\u2013.,/()+*#:'\u2019"}
)
_TOKEN: Final = re.compile(r"\d+|[^\W\d_]+|\S")
_SSN: Final = re.compile(r"(?<!\d)\d{3}[-. ]\d{2}[-. ]\d{4}(?!\d)")
_EXPIRY: Final = re.compile(r"(?<!\d)(?:0?[1-9]|1[0-2])\s?/\s?(?:\d{4}|\d{2})(?![\d/])")
_CODE_NAME: Final = re.compile(r"\b(?:cvv2?|cvc2?|cvn|security code|card code)\b", re.IGNORECASE)
_CODE_REACH: Final = 30  # characters after its name in which the code begins
_CODE_DIGITS: Final = range(3, 5)
_EMAIL: Final = re.compile(r"[\w.+%-]+@[\w-]+(?:\.[\w-]+)*", re.UNICODE)
_DOT: Final = r"(?:\.|\s?\bdot\b\s)"
_JOINED: Final = r"(?:[._+-]|\s(?:dot|underscore|dash|hyphen|plus)\s)"
_SPOKEN_EMAIL: Final = re.compile(
    rf"\b\w{{1,64}}(?:{_JOINED}\w{{1,64}}){{0,8}}\s+at\s+\w{{1,64}}(?:\s+\w{{1,64}}){{0,2}}?"
    rf"(?:{_DOT}\w{{1,64}}){{0,3}}{_DOT}"
    r"(?:com|org|net|edu|gov|io|co|info|me|uk|de|fr|es|it|nl|eu|us|ca|au|ch|at|in|jp|dev|app|biz)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class _Run:
    """Hold a sequence of numbers: where it is, and how many digits it has."""

    start: int
    end: int
    digits: int


def redacted_spans(text: str, kinds: Sequence[Redaction]) -> list[Edit]:
    """Return what is to be replaced in a text, each with its name in brackets."""
    return [Edit(start, end, f"[{name}]") for name, start, end in _found(text, frozenset(kinds))]


def _found(text: str, kinds: frozenset[Redaction]) -> Iterator[tuple[str, int, int]]:
    """Yield name, start and end; the longest of those that begin at the same place counts."""
    if "email_address" in kinds:
        for pattern in (_EMAIL, _SPOKEN_EMAIL):
            yield from (("EMAIL_ADDRESS", *each.span()) for each in pattern.finditer(text))
    runs = list(_runs(text))
    codes = list(_codes(text, runs)) if "pci" in kinds else []
    for run in runs:
        name = "CVV" if run in codes else _name(run, kinds)
        if name is not None:
            yield name, run.start, run.end
        else:
            yield from _parts(text, run, kinds)


def _parts(text: str, run: _Run, kinds: frozenset[Redaction]) -> Iterator[tuple[str, int, int]]:
    """Yield what is written in its usual form among other numbers."""
    for kind, name, pattern in (("ssn", "SSN", _SSN), ("pci", "EXPIRATION_DATE", _EXPIRY)):
        if kind in kinds:
            yield from ((name, *each.span()) for each in pattern.finditer(text, run.start, run.end))


def _name(run: _Run, kinds: frozenset[Redaction]) -> str | None:
    """Return the first kind that is to be redacted and that a run of digits can be."""
    least = 1 if "aggressive_numbers" in kinds else MIN_NUMBER_DIGITS
    if "pci" in kinds and run.digits in CARD_DIGITS:
        return "CREDIT_CARD"
    if "ssn" in kinds and run.digits == SSN_DIGITS:
        return "SSN"
    if "phone_number" in kinds and run.digits in PHONE_DIGITS:
        return "PHONE_NUMBER"
    if "ssn" in kinds and run.digits in LONG_SSN_DIGITS:
        return "SSN"
    return "NUMBER" if kinds & {"numbers", "aggressive_numbers"} and run.digits >= least else None


def _codes(text: str, runs: Sequence[_Run]) -> Iterator[_Run]:
    """Yield the numbers that follow the name of a card's code."""
    for name in _CODE_NAME.finditer(text):
        for run in runs:
            if 0 <= run.start - name.end() <= _CODE_REACH and run.digits in _CODE_DIGITS:
                yield run
                break


def _runs(text: str) -> Iterator[_Run]:
    """Yield the sequences of numbers with only links and punctuation between them."""
    start: int | None = None
    end, digits, repeated, before = 0, 0, 0, ""
    for token in _TOKEN.finditer(text):
        word = token[0].lower()
        count = _digits(word, before, begins=not digits)
        if count is not None:
            start, end = token.start() if start is None else start, token.end()
            digits, repeated = digits + repeated + count, 0
        elif word in _BETWEEN if digits else word in _BEFORE:
            start = token.start() if start is None else start
            repeated = REPEATS.get(word, 1) - 1
        elif not (word == "and" and before in (HUNDRED, *SCALES)):
            if digits and start is not None:
                yield _Run(start, end, digits)
            start, digits, repeated = None, 0, 0
        before = word
    if digits and start is not None:
        yield _Run(start, end, digits)


def _digits(word: str, before: str, begins: bool) -> int | None:
    """Return how many digits a token adds to the number before it; None if it is no part of a number.

    "Forty five" has two digits, "five hundred" has three. `begins`: there is no number before it
    """
    if word.isdecimal():
        return len(word)
    if before in TENS and (word in DIGITS or ORDINALS.get(word, 10) < 10) and word != "zero":
        return 0
    if word in DIGITS:
        return 1
    if word in _WORDS:
        return 2
    return 1 if not begins and (word in ZEROS or word in ORDINALS) else None
