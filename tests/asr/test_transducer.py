"""Transducer on tiny networks."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from asr.hypothesis import Request
from asr.transducer import Transducer, decode
from tests.asr import families, tiny

BUILDERS: dict[str, Callable[[Path], Path]] = {
    "parakeet-tdt": lambda folder: tiny.transducer(folder, "TDT", blank_bias=-6),
    "parakeet-rnnt": lambda folder: tiny.transducer(folder, "RNNT", blank_bias=10),
    "nemotron": lambda folder: tiny.transducer(folder, "RNNT", kind="NemotronAsrStreaming", blank_bias=-3),
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("transducer")
    return {name: build(root / name) for name, build in BUILDERS.items()}


@pytest.fixture(scope="module", params=list(BUILDERS))
def recognizer(request: pytest.FixtureRequest, folders: dict[str, Path]) -> Transducer:
    return Transducer.load(folders[request.param], device="cpu", dtype="float32")


@pytest.mark.parametrize("seed", range(2))
def test_a_batched_result_is_the_lone_one(recognizer: Transducer, seed: int) -> None:
    families.assert_batched_equals_alone(recognizer, seed)


def test_short_and_silent_clips_are_answered(recognizer: Transducer) -> None:
    families.assert_short_and_silent_clips_are_answered(recognizer)


def test_words_tell_the_text_and_lie_in_the_clip(recognizer: Transducer) -> None:
    families.assert_words_tell_the_text_and_lie_in_the_clip(recognizer)


def test_only_word_times_are_honoured(recognizer: Transducer) -> None:
    families.assert_only_word_times_are_honoured(recognizer)


def test_it_says_what_it_is(recognizer: Transducer) -> None:
    assert (recognizer.family, recognizer.device, recognizer.dtype) == ("transducer", "cpu", "float32")
    assert recognizer.languages == ()


@pytest.mark.parametrize(
    ("name", "auto"),
    [
        ("parakeet-tdt", "AutoModelForTDT"),
        ("parakeet-rnnt", "AutoModelForRNNT"),
        ("nemotron", "AutoModelForRNNT"),
    ],
)
def test_pieces_are_those_of_transformers_own_generate(
    name: str, auto: str, folders: dict[str, Path]
) -> None:
    recognizer = Transducer.load(folders[name], device="cpu", dtype="float32")
    processor, model = tiny.parts(folders[name], auto)
    for seed in range(3):
        clip = tiny.babble(2, seed)
        (answer,) = recognizer.transcribe([Request(clip)])
        features = processor([clip.samples], sampling_rate=16_000)
        sequence = model.generate(**features, max_new_tokens=500).sequences[0]
        kept = [int(token) for token in sequence if int(token) != model.config.blank_token_id]
        assert answer.text == " ".join(processor.decode(kept, skip_special_tokens=True).split())


@pytest.mark.parametrize("name", ["parakeet-tdt", "parakeet-rnnt"])
def test_a_network_that_never_says_blank_still_ends(name: str, folders: dict[str, Path]) -> None:
    """Of a TDT model whose durations are all zero, generate() stays on a frame until its buffer is full."""
    _, model = tiny.parts(folders[name], "AutoModelForTDT" if name.endswith("tdt") else "AutoModelForRNNT")
    frames, most = 7, model.config.max_symbols_per_step
    with torch.inference_mode():
        model.joint.head.bias[model.config.blank_token_id] = -1e4
        model.joint.head.bias[model.config.vocab_size :][:1] = (
            1e4  # a duration of 0, where there are durations
        )
        (emissions,) = decode(model, torch.randn(1, frames, 32), torch.tensor([frames]))
    assert len(emissions) == frames * most
    assert [emission.frame for emission in emissions] == [
        frame for frame in range(frames) for _ in range(most)
    ]


def test_a_row_without_frames_says_nothing(folders: dict[str, Path]) -> None:
    _, model = tiny.parts(folders["parakeet-rnnt"], "AutoModelForRNNT")
    with torch.inference_mode():
        assert decode(model, torch.randn(2, 3, 32), torch.tensor([0, 0])) == [[], []]
