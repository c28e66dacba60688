"""Replace English swear words by asterisks, one for each letter."""

import re
from collections.abc import Iterator
from typing import Final

from postprocessing.edits import Edit

# Words that are rude in every sense; "hell", "damn" and "cock" have others, and stay.
_WORDS: Final = re.compile(
    r"\b(?:(?:mother|cluster)?fuck(?:s|ed|er|ers|ing|in|head|wit)?|fuckin|(?:bull|horse|dip|ape)?shit(?:s|ty|ting|head|hole)?"
    r"|ass(?:hole|hat|wipe)s?|arseholes?|bastards?|bitch(?:es|y|ing)?|cunts?|dick(?:head|wad)s?|cocksuckers?"
    r"|pricks?|pussy|twats?|wank(?:er|ers|ing)?|whores?|sluts?|piss(?:ed|ing)?|goddamn(?:ed|it)?|douche(?:bag)?s?"
    r"|nigg(?:er|a)s?|fag(?:got)?s?|retards?|tits|jack(?:ass|off)(?:es)?|dumbass(?:es)?|bollocks)\b",
    re.IGNORECASE,
)


def profanity(text: str) -> Iterator[Edit]:
    """Yield the swear words of a text, with their replacements."""
    return (Edit(*found.span(), "*" * len(found[0])) for found in _WORDS.finditer(text))
