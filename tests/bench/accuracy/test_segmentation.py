"""Test that the benchmark of segmentations cuts recordings as the server does."""

from itertools import pairwise

from audio.clip import HOP
from bench.accuracy.segmentation import SEGMENTATIONS, segments
from tests.streaming.fakes import hear, sound

SECOND = 16_000
TALK = sound(*[(True, 2 * SECOND), (False, SECOND // 2)] * 12)


def test_files_have_longer_segments_than_live_streams() -> None:
    probabilities = hear(TALK[: len(TALK) // HOP * HOP].reshape(-1, HOP))
    names = ("silence of 300 ms", "file, up to 30 s")
    live, file = (segments(TALK, probabilities, SEGMENTATIONS[name]) for name in names)
    assert (len(live), len(file)) == (12, 2)
    assert all(one.end <= two.start for one, two in pairwise(file))
    assert (file[0].start, file[-1].end) == (live[0].start, live[-1].end)
