"""Test that base64 is decoded as clients write it."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio.base64_text import decode_base64


@given(
    st.binary(), st.booleans(), st.booleans(), st.sampled_from(["", "\n", "\r\n", " "]), st.integers(1, 80)
)
def test_every_spelling_is_decoded(data: bytes, urlsafe: bool, padded: bool, gap: str, width: int) -> None:
    text = (base64.urlsafe_b64encode if urlsafe else base64.b64encode)(data).decode()
    text = text if padded else text.rstrip("=")
    lines = [text[start : start + width] for start in range(0, len(text), width)]
    assert decode_base64("".join(line + gap for line in lines)) == data


@pytest.mark.parametrize(
    "text", ["A", "AA!=", "YWJj=", "YW=Jj", "YWI==", "Zm9v\N{SNOWMAN}", "data:,YWJj", "=", "YQ="]
)
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        decode_base64(text)
