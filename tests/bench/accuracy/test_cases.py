"""The judgement of the files of shared/cases: it finds each kind of fault."""

import pytest

from asr.recognizer import Hypothesis
from bench.accuracy.cases import Right, faults
from transcripts.transcript import Transcript, TranscriptSegment

TALK = Transcript(
    "talk.wav",
    "base",
    (
        TranscriptSegment(0, 16_000, Hypothesis("Yes, five.", language="en")),
        TranscriptSegment(32_000, 48_000, Hypothesis("Gate 12!", language="en")),
    ),
)


@pytest.mark.parametrize(
    ("right", "expected"),
    [
        (Right(("yes five gate one two",), starts=(2.3,), languages=("en", "en")), []),
        (Right(("five", "one"), exactly=False), []),
        (Right(("five", "yes"), exactly=False), ["'yes' is missing"]),
        (Right(("yes five gate",)), ["the text should be 'yes five gate'"]),
        (Right(exactly=False, starts=(2.0, 3.0)), ["no segment begins at 3.0 s"]),
        (Right(exactly=False, languages=("en", "de")), ["the languages should be en, de"]),
    ],
)
def test_each_fault_is_found(right: Right, expected: list[str]) -> None:
    assert faults(right, TALK) == expected
