"""Define what a client may have done to the text of its utterances."""

from dataclasses import dataclass
from typing import Final, Literal, get_args

Redaction = Literal["numbers", "aggressive_numbers", "pci", "ssn", "phone_number", "email_address"]
REDACTIONS: Final[tuple[Redaction, ...]] = get_args(Redaction)

MAX_REPLACEMENTS: Final = 200
MAX_TERM_CHARS: Final = 100


class TextOptionsError(ValueError):
    """An option is out of its range."""


@dataclass(frozen=True, slots=True)
class TextOptions:
    """Hold what is done to a text, in this order.

    numerals: write English numbers with digits, if the model writes bare lower-case words
    replacements: terms, and what stands in their place; "" removes a term. At most MAX_REPLACEMENTS of
        MAX_TERM_CHARS characters
    profanity_filter: replace English swear words by asterisks
    redact: what is replaced by its name in brackets; the values are those of REDACTIONS

    Raises TextOptionsError for unknown kinds, and for too many, too long or empty terms.
    """

    numerals: bool = False
    replacements: tuple[tuple[str, str], ...] = ()
    profanity_filter: bool = False
    redact: tuple[Redaction, ...] = ()

    def __post_init__(self) -> None:
        unknown = [kind for kind in self.redact if kind not in REDACTIONS]
        if unknown:
            known = ", ".join(REDACTIONS)
            raise TextOptionsError(f"redact can be {known}, not {unknown[0][:50]!r}")
        if len(self.replacements) > MAX_REPLACEMENTS:
            raise TextOptionsError(
                f"replace can have at most {MAX_REPLACEMENTS} terms, not {len(self.replacements)}"
            )
        if any(len(part) > MAX_TERM_CHARS for pair in self.replacements for part in pair):
            raise TextOptionsError(f"a term of replace can have at most {MAX_TERM_CHARS} characters")
        if any(not term.strip() for term, _ in self.replacements):
            raise TextOptionsError("a term of replace must not be empty")

    @property
    def changes_text(self) -> bool:
        """Return whether any text may change."""
        return self.numerals or bool(self.replacements) or self.profanity_filter or self.conceals

    @property
    def conceals(self) -> bool:
        """Return whether the original text must not be seen, not even in parts."""
        return bool(self.redact)
