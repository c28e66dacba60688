"""Test that models with random weights write the forced text."""

from pathlib import Path

import numpy as np
import pytest

from asr import model_registry
from asr.recognizer import RecognitionRequest
from audio.clip import SAMPLE_RATE, Clip
from bench.accuracy import synthetic_models
from tests.asr import tiny

pytestmark = pytest.mark.slow  # real architectures, though small

SMALL = {
    "d_model": 64,
    "encoder_layers": 1,
    "decoder_layers": 2,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 64,
    "decoder_ffn_dim": 64,
    "vocab_size": 400,
}
NOISE = np.random.default_rng(0)


def texts(folder: Path) -> list[str]:
    clips = [Clip(NOISE.normal(0, 0.1, n * SAMPLE_RATE).astype(np.float32)) for n in (2, 3)]
    recognizer = model_registry.load(str(folder), device="cpu", dtype="float32")
    return [each.text for each in recognizer.transcribe([RecognitionRequest(clip) for clip in clips])]


SAID = " ".join(f"word{number}" for number in range(synthetic_models.TOKENS))


def test_a_whisper_of_random_weights_always_writes_24_tokens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASR_MODEL_CACHE", str(tmp_path / "cache"))
    folder = synthetic_models.whisper(tmp_path / "whisper", **SMALL)
    tiny.convert_here(folder, tmp_path / "made")
    assert texts(folder) == [SAID, SAID]


def test_a_moonshine_of_random_weights_always_writes_24_tokens(tmp_path: Path) -> None:
    folder = synthetic_models.moonshine(
        tmp_path,
        hidden_size=64,
        intermediate_size=64,
        encoder_num_hidden_layers=1,
        decoder_num_hidden_layers=2,
        encoder_num_attention_heads=2,
        decoder_num_attention_heads=2,
        vocab_size=100,
    )
    assert texts(folder) == [SAID, SAID]


@pytest.mark.parametrize("family", ["wav2vec2", "parakeet"])
def test_the_ctc_shapes_load(tmp_path: Path, family: str) -> None:
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    small: dict[str, object] = dict(sizes)
    if family == "wav2vec2":
        small |= {"num_conv_pos_embedding_groups": 2, "num_conv_pos_embeddings": 16, "conv_dim": (16,) * 7}
    assert len(texts(getattr(synthetic_models, family)(tmp_path, **small))) == 2
