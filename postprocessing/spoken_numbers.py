"""Know the English words of which numbers are made."""

from typing import Final

DIGITS: Final = {
    "zero": 0,
    "one": 1,
    "two": 2,
    "three": 3,
    "four": 4,
    "five": 5,
    "six": 6,
    "seven": 7,
    "eight": 8,
    "nine": 9,
}
TEENS: Final = {
    "ten": 10,
    "eleven": 11,
    "twelve": 12,
    "thirteen": 13,
    "fourteen": 14,
    "fifteen": 15,
    "sixteen": 16,
    "seventeen": 17,
    "eighteen": 18,
    "nineteen": 19,
}
TENS: Final = {
    "twenty": 20,
    "thirty": 30,
    "forty": 40,
    "fifty": 50,
    "sixty": 60,
    "seventy": 70,
    "eighty": 80,
    "ninety": 90,
}
HUNDRED: Final = "hundred"
SCALES: Final = {"thousand": 1_000, "million": 1_000_000, "billion": 1_000_000_000}
UNITS: Final = DIGITS | TEENS  # below twenty
ZEROS: Final = frozenset({"oh", "o", "zero", "nought", "naught"})  # as digits of a longer number
REPEATS: Final = {"double": 2, "triple": 3}
_IRREGULAR: Final = {
    "first": 1,
    "second": 2,
    "third": 3,
    "fifth": 5,
    "eighth": 8,
    "ninth": 9,
    "twelfth": 12,
    **{f"{word[:-1]}ieth": value for word, value in TENS.items()},
}
ORDINALS: Final = _IRREGULAR | {
    f"{word}th": value for word, value in UNITS.items() if value and value not in _IRREGULAR.values()
}
