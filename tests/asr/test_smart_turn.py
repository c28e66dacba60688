"""Test the end-of-turn model with its real weights, and what is reported without them."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from asr.artifacts import ArtifactStore
from asr.errors import ModelUnavailable
from asr.smart_turn import NAME, SAMPLES, SmartTurn
from audio.clip import Clip, samples_from_ms
from tests.asr.spoken import ROOT as REPOSITORY
from tests.asr.spoken import beginning, margins, read


@cache
def model() -> SmartTurn:
    pytest.importorskip("onnxruntime", reason="the extra `turn` is not installed")
    if ArtifactStore.from_environment().find(NAME) is None:
        pytest.skip(f"{NAME} is not here: ./entrypoint.sh pull {NAME}")
    return SmartTurn.load(download=False)


def test_missing_model_file_is_reported_with_the_command(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="without it, another error comes first")
    with pytest.raises(ModelUnavailable, match="pull smart-turn"):
        SmartTurn.load(download=False, store=ArtifactStore(tmp_path, hub_cache=tmp_path))


@pytest.mark.slow
def test_whole_sentence_is_complete_and_its_beginning_is_not() -> None:
    sentence = margins(1, 300, 200)
    assert model().probability(sentence) > 0.5
    assert model().probability(beginning(sentence, samples_from_ms(1_500))) < 0.5


@pytest.mark.slow
def test_only_the_last_seconds_count() -> None:
    samples = read(REPOSITORY / "test.wav").samples
    assert len(samples) > SAMPLES
    last = model().probability(Clip(samples[-SAMPLES:]))
    assert model().probability(Clip(samples)) == last
    assert model().probability(Clip(np.concatenate([samples, np.zeros(800, np.float32)]))) != last
