"""Test that the sums of samples agree."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.sample_accounting import SampleAccounting


@given(st.lists(st.tuples(st.integers(0, 99), st.integers(0, 99), st.booleans())))
def test_sums_add_up_to_the_settled_samples(
    ranges: list[tuple[int, int, bool]],
) -> None:
    ledger, at = SampleAccounting(), 0
    for gap, length, dropped in ranges:
        start, at = at + gap, at + gap + length
        (ledger.enter_drop if dropped else ledger.enter_segment)(start, at)
    ledger.settle(at + 10)
    assert ledger.speech + ledger.non_speech + ledger.dropped == at + 10
    assert ledger.segments == sum(not dropped for *_, dropped in ranges)


def test_overlapping_range_is_refused() -> None:
    ledger = SampleAccounting()
    ledger.enter_segment(10, 20)
    with pytest.raises(ValueError, match="before 20"):
        ledger.enter_segment(15, 30)
