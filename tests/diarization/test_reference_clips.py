"""Test which clips of known speakers can be read."""

import numpy as np
import pytest

from audio.clip import SAMPLE_RATE
from diarization.chunks import CHUNK_SAMPLES
from diarization.reference_clips import MIN_SAMPLES, ReferenceClipError, read_reference
from tests.server.asgi_calls import wav


def clip(seconds: float) -> bytes:
    return wav(np.full(round(seconds * SAMPLE_RATE), 0.1, np.float32))


@pytest.mark.parametrize(("seconds", "samples"), [(1, MIN_SAMPLES), (30, CHUNK_SAMPLES)])
def test_samples_of_a_clip_are_bounded(seconds: float, samples: int) -> None:
    assert len(read_reference(clip(seconds))) == samples


@pytest.mark.parametrize(
    ("data", "problem"), [(b"", "decoded"), (b"no audio", "decoded"), (clip(0.9), "shorter than a second")]
)
def test_unusable_clip_is_refused(data: bytes, problem: str) -> None:
    with pytest.raises(ReferenceClipError, match=problem):
        read_reference(data)
