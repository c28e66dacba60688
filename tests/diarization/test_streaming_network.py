"""Steps of a streaming model find the speakers that a pass over the whole recording finds."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import (
    Nemotron3DiarizationConfig,
    Nemotron3DiarizationForAudioFrameClassification,
    NemotronAsrStreamingFeatureExtractor,
)

from asr.errors import UnsupportedModel
from audio.clip import SAMPLE_RATE, Samples
from diarization.chunks import Flags
from diarization.steps import FRAME_SAMPLES, STEP_SPEAKERS, Step, StepCutter, StepState
from diarization.streaming_network import StreamingNetwork


def extractor() -> Any:
    """Return the extractor of features with the sizes of the released model."""
    return NemotronAsrStreamingFeatureExtractor(feature_size=128)  # type: ignore[no-untyped-call]


def write_model(folder: Path, **changes: Any) -> Path:
    """Write a model of the real architecture with few layers and weights by chance."""
    config = Nemotron3DiarizationConfig(
        audio_config={
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
        },
        head_config={"hidden_size": 16, "audio_hidden_size": 32},
        **changes,
    )
    torch.manual_seed(1)
    model = Nemotron3DiarizationForAudioFrameClassification(config)
    with torch.no_grad():
        model.silence_embeds.normal_()
        for weight in model.classifier.parameters():
            weight.normal_(std=0.7)
    model.save_pretrained(folder)
    extractor().save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def network(folder: Path) -> StreamingNetwork:
    return StreamingNetwork.load(str(folder), dtype="float32")


def recording(seconds: float, seed: int = 0) -> Samples:
    """Return noise whose loudness and colour change."""
    random = np.random.default_rng(seed)
    length = round(seconds * SAMPLE_RATE)
    loudness = np.repeat(random.uniform(0, 0.5, length // 4_000 + 1), 4_000)[:length]
    return (random.standard_normal(length) * loudness).astype(np.float32)


def steps_of(samples: Samples, piece: int = 50_000) -> list[Step]:
    cutter = StepCutter()
    pieces = [samples[start : start + piece] for start in range(0, len(samples), piece)]
    return [step for steps in (*map(cutter.push, pieces), cutter.finish()) for step in steps]


def stepwise(network: StreamingNetwork, samples: Samples) -> Flags:
    """Return who speaks, found step by step."""
    state: StepState | None = None
    found = []
    for step in steps_of(samples):
        (result,) = network.run([replace(step, state=state)])
        state = result.state
        found.append(result.active)
    return np.concatenate([*found, np.zeros((0, STEP_SPEAKERS), np.bool_)])


def at_once(folder: Path, samples: Samples) -> Flags:
    """Return who speaks, as transformers finds it in a pass over the whole recording."""
    model: Any = Nemotron3DiarizationForAudioFrameClassification.from_pretrained(folder)
    features = extractor()([samples], sampling_rate=SAMPLE_RATE, return_tensors="pt")
    with torch.inference_mode():
        logits = model(**features).logits[0, : int(features["attention_mask"].sum())]
    flags: Flags = (logits.sigmoid() > 0.5).numpy()
    return flags


# One step, a step and a rest that is all heard ahead, one frame more than that, many steps, and an odd end.
@pytest.mark.parametrize("seconds", [3.0, 30.0, 30.4, 30.41, 95.0, 70.123])
def test_steps_find_what_a_pass_over_all_finds(
    seconds: float, network: StreamingNetwork, folder: Path
) -> None:
    samples = recording(seconds)
    found, expected = stepwise(network, samples), at_once(folder, samples)
    assert found.shape == expected.shape == (len(samples) // FRAME_SAMPLES, STEP_SPEAKERS)
    assert 0.02 < expected.mean() < 0.98  # Else the model says nothing.
    assert (found != expected).mean() < 1e-3  # A probability may lie on the threshold.


def test_steps_do_not_depend_on_the_pieces_of_the_audio() -> None:
    samples = recording(65)
    one, other = steps_of(samples, 700_000), steps_of(samples, 1_234)
    assert [len(step.samples) for step in one] == [len(step.samples) for step in other]
    assert all(np.array_equal(a.samples, b.samples) for a, b in zip(one, other, strict=True))


def test_recordings_share_batches_without_changing_one_another(network: StreamingNetwork) -> None:
    recordings = [steps_of(recording(seconds, seed)) for seed, seconds in enumerate((65, 65, 70, 20))]
    alone = [stepwise(network, recording(seconds, seed)) for seed, seconds in enumerate((65, 65, 70, 20))]
    states: list[StepState | None] = [None] * 4
    found: list[list[Flags]] = [[] for _ in recordings]
    for number in range(3):
        now = [row for row, steps in enumerate(recordings) if number < len(steps)]
        batch = [replace(recordings[row][number], state=states[row]) for row in now]
        for row, result in zip(now, network.run(batch), strict=True):
            states[row] = result.state
            found[row].append(result.active)
    for own, expected in zip(found, alone, strict=True):
        assert (np.concatenate(own) != expected).mean() < 1e-3


def test_recording_without_a_frame_has_no_steps() -> None:
    assert steps_of(np.zeros(100, np.float32)) == []


@pytest.mark.slow
def test_steps_run_at_the_real_size() -> None:
    torch.manual_seed(0)
    model: Any = Nemotron3DiarizationForAudioFrameClassification(Nemotron3DiarizationConfig())
    parameters = sum(weight.numel() for weight in model.parameters())
    assert 95e6 < parameters < 105e6
    network = StreamingNetwork(model, extractor())
    assert stepwise(network, recording(35)).shape == (3_500, STEP_SPEAKERS)


def test_model_with_other_sizes_is_refused(tmp_path: Path) -> None:
    write_model(tmp_path, chunk_length=100)
    with pytest.raises(UnsupportedModel, match="chunk_length 100"):
        StreamingNetwork.load(str(tmp_path))


def test_model_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "wav2vec2"}')
    with pytest.raises(UnsupportedModel, match="unsupported type wav2vec2"):
        StreamingNetwork.load(str(tmp_path))
