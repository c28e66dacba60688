"""The parts of bench.wer that need no server."""

import numpy as np

from asr.free import Free
from audio.clip import SAMPLE_RATE, Clip
from bench.wer import transcribe


def test_clips_are_transcribed_in_order_and_their_cost_is_told() -> None:
    clips = [Clip(np.zeros(seconds * SAMPLE_RATE, np.float32)) for seconds in (1, 2)]
    texts, cost = transcribe(Free(), clips)
    assert len(texts) == 2
    assert cost["audio_seconds"] == 3.0
    assert cost["rtf"] >= 0
