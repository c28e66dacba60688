"""Numbers, cards, social security and phone numbers and e-mail are found, written or spoken."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.recognizer import Hypothesis
from postprocessing.edits import edited
from postprocessing.options import REDACTIONS, Redaction
from postprocessing.redaction import redacted_spans


def redacted(text: str, *kinds: Redaction) -> str:
    return edited(Hypothesis(text), redacted_spans(text, kinds)).text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("My card is 4111 1111 1111 1111.", "My card is [CREDIT_CARD]."),
        ("my card is 4111-1111-1111-1111 okay", "my card is [CREDIT_CARD] okay"),
        ("3782 822463 10005 with expiry 12/25", "[CREDIT_CARD] with expiry [EXPIRATION_DATE]"),
        ("it is four one one one " + "double one " * 6, "it is [CREDIT_CARD]"),
        ("four one, one one, um, one one one one one one one one one one one one", "[CREDIT_CARD]"),
        (
            "the CVV is 123, and the security code was 9876.",
            "the CVV is [CVV], and the security code was [CVV].",
        ),
        ("I have 25 dogs and 3 cats.", "I have 25 dogs and 3 cats."),
    ],
)
def test_payment_cards(text: str, shown: str) -> None:
    assert redacted(text, "pci") == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("It is 123-45-6789.", "It is [SSN]."),
        ("it is 123 45 6789 okay", "it is [SSN] okay"),
        ("one two three forty five sixty seven eighty nine", "[SSN]"),
        ("22, 123-45-6789, 333", "22, [SSN], 333"),
        ("in 1999", "in 1999"),
    ],
)
def test_social_security_numbers(text: str, shown: str) -> None:
    assert redacted(text, "ssn") == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Call (555) 123-4567.", "Call [PHONE_NUMBER]."),
        ("call +44 20 7946 0958 now", "call [PHONE_NUMBER] now"),
        ("five five five one two three four", "[PHONE_NUMBER]"),
        ("oh two oh seven nine four six oh nine five eight", "[PHONE_NUMBER]"),
        ("eight hundred five five five twelve thirty four", "[PHONE_NUMBER]"),
        ("in 1999 we had 12 people", "in 1999 we had 12 people"),
    ],
)
def test_phone_numbers(text: str, shown: str) -> None:
    assert redacted(text, "phone_number") == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Mail john.smith@example.com.", "Mail [EMAIL_ADDRESS]."),
        ("john dot smith at g mail dot com please", "[EMAIL_ADDRESS] please"),
        ("it is jane underscore doe at example dot co dot uk", "it is [EMAIL_ADDRESS]"),
        ("jane at example.org", "[EMAIL_ADDRESS]"),
        ("Look at it. In the morning we met at five.", "Look at it. In the morning we met at five."),
    ],
)
def test_email_addresses(text: str, shown: str) -> None:
    assert redacted(text, "email_address") == shown


@pytest.mark.parametrize(
    ("text", "numbers", "aggressive"),
    [
        ("room 12 of 345", "room 12 of [NUMBER]", "room [NUMBER] of [NUMBER]"),
        ("the first one", "the first one", "the first [NUMBER]"),
        ("two hundred and five", "[NUMBER]", "[NUMBER]"),
        ("twenty first of may 2024", "twenty first of may [NUMBER]", "[NUMBER] of may [NUMBER]"),
        ("٤٥٦ and ४५", "[NUMBER] and ४५", "[NUMBER] and [NUMBER]"),
    ],
)
def test_numbers(text: str, numbers: str, aggressive: str) -> None:
    assert redacted(text, "numbers") == numbers
    assert redacted(text, "aggressive_numbers") == aggressive


def test_most_specific_name_is_shown() -> None:
    text = "4111 1111 1111 1111 or 123-45-6789 or 555 123 4567 or 4711 or a@b.org"
    shown = "[CREDIT_CARD] or [SSN] or [PHONE_NUMBER] or [NUMBER] or [EMAIL_ADDRESS]"
    assert redacted(text, *REDACTIONS) == shown


@given(
    st.lists(st.sampled_from("0123456789"), min_size=13, max_size=19),
    st.lists(st.sampled_from([" ", "-", ", ", ".", " um ", ""]), min_size=19, max_size=19),
    st.booleans(),
)
def test_no_digit_of_a_card_is_left(digits: list[str], gaps: list[str], spoken: bool) -> None:
    names = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
    written = [names[int(digit)] for digit in digits] if spoken else digits
    gaps = [gap or " " for gap in gaps] if spoken else gaps
    text = "it is " + "".join(part for pair in zip(written, gaps, strict=False) for part in pair) + "okay"
    left = redacted(text, "pci")
    assert not any(char.isdigit() for char in left)
    assert not set(left.replace(",", " ").split()) & set(names)


@pytest.mark.parametrize("piece", ["a dot ", "one ", " at ", "x@", "a.a@", "x at y dot ", "12/", "double "])
def test_long_text_takes_a_bounded_time(piece: str) -> None:
    text = piece * 4_000  # about half an hour of speech
    begin = time.process_time()
    redacted_spans(text, REDACTIONS)
    assert time.process_time() - begin < 2
