"""Test when a sender asks for another try."""

import pytest

from downloads.retries import seconds_to_wait

NOW = 784_111_777.0  # Sun, 06 Nov 1994 08:49:37 GMT


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        (" 0 ", 0.0),
        ("Sun, 06 Nov 1994 08:50:07 GMT", 30.0),
        ("Sun, 06 Nov 1994 08:49:07 GMT", 0.0),
        ("Sun, 06 Nov 1994 08:50:07 -0000", 30.0),
        ("soon", None),
        ("-5", None),
        ("", None),
        (None, None),
    ],
)
def test_header_is_read_as_seconds_or_as_a_date(value: str | None, seconds: float | None) -> None:
    assert seconds_to_wait(value, NOW) == seconds
