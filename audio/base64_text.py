"""Decode base64 (RFC 4648) in either alphabet, with or without padding and line breaks."""

from typing import Final

import pybase64

_STANDARD: Final = str.maketrans("-_", "+/", " \t\r\n")


def decode_base64(text: str) -> bytes:
    """Return the bytes of a text in base64. Raises ValueError."""
    try:
        return pybase64.b64decode(text, validate=True)
    except ValueError:
        plain = text.translate(_STANDARD)
        if not plain.endswith("="):
            plain += "=" * (-len(plain) % 4)
        return pybase64.b64decode(plain, validate=True)
