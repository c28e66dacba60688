"""Ctc on tiny networks."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from asr.ctc import Ctc
from asr.hypothesis import Options, Request
from audio.clip import Clip
from tests.asr import families, tiny

BUILDERS: dict[str, Callable[[Path], Path]] = {
    "wav2vec2-group": lambda folder: tiny.waveform_ctc(folder, "Wav2Vec2", "group"),
    "wav2vec2-layer": lambda folder: tiny.waveform_ctc(folder, "Wav2Vec2", "layer"),
    "hubert-group": lambda folder: tiny.waveform_ctc(folder, "Hubert", "group"),
    "hubert-layer": lambda folder: tiny.waveform_ctc(folder, "Hubert", "layer"),
    "hubert-batch-norm": lambda folder: tiny.waveform_ctc(
        folder, "Hubert", "layer", conv_pos_batch_norm=True
    ),
    "wavlm-group": lambda folder: tiny.waveform_ctc(folder, "WavLM", "group"),
    "data2vec": lambda folder: tiny.waveform_ctc(folder, "Data2VecAudio", "layer"),
    "parakeet": tiny.parakeet_ctc,
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("ctc")
    return {name: build(root / name) for name, build in BUILDERS.items()}


@pytest.fixture(scope="module", params=list(BUILDERS))
def recognizer(request: pytest.FixtureRequest, folders: dict[str, Path]) -> Ctc:
    return Ctc.load(folders[request.param], device="cpu", dtype="float32")


@pytest.mark.parametrize("seed", range(2))
def test_a_batched_result_is_the_lone_one(recognizer: Ctc, seed: int) -> None:
    families.assert_batched_equals_alone(recognizer, seed)


def test_short_and_silent_clips_are_answered(recognizer: Ctc) -> None:
    families.assert_short_and_silent_clips_are_answered(recognizer)


def test_words_tell_the_text_and_lie_in_the_clip(recognizer: Ctc) -> None:
    families.assert_words_tell_the_text_and_lie_in_the_clip(recognizer)


def test_only_word_times_are_honoured(recognizer: Ctc) -> None:
    families.assert_only_word_times_are_honoured(recognizer)


def test_it_says_what_it_is(recognizer: Ctc) -> None:
    assert (recognizer.family, recognizer.device, recognizer.dtype) == ("ctc", "cpu", "float32")
    assert recognizer.languages == ()


def test_no_requests_get_no_answers(recognizer: Ctc) -> None:
    assert recognizer.transcribe([]) == []


def test_words_are_told_only_when_asked_for(recognizer: Ctc) -> None:
    (answer,) = recognizer.transcribe([Request(tiny.babble(1), Options())])
    assert answer.words == ()


def test_a_clip_gives_the_same_text_wherever_it_lies_in_the_stream(recognizer: Ctc) -> None:
    here, there = tiny.babble(1, start=0), tiny.babble(1, start=10**9)
    first, second = recognizer.transcribe([Request(here, families.WORDS), Request(there, families.WORDS)])
    assert first.text == second.text
    assert [word.start + 10**9 for word in first.words] == [word.start for word in second.words]


@pytest.mark.parametrize("name", ["wav2vec2-group", "hubert-layer", "wavlm-group"])
def test_letters_are_those_of_transformers_own_decoding(name: str, folders: dict[str, Path]) -> None:
    """Asked to skip special tokens it would drop the blanks before it merges repeats, and write helo."""
    clip = tiny.babble(1.5)
    (answer,) = Ctc.load(folders[name], device="cpu", dtype="float32").transcribe([Request(clip)])
    processor, model = tiny.parts(folders[name], "AutoModelForCTC")
    ids = _logits(model, processor, clip).argmax(-1)[0]
    assert answer.text == " ".join(processor.decode(ids).split())


def test_parakeet_pieces_are_those_of_its_own_generate(folders: dict[str, Path]) -> None:
    clip = tiny.babble(2)
    (answer,) = Ctc.load(folders["parakeet"], device="cpu", dtype="float32").transcribe([Request(clip)])
    processor, model = tiny.parts(folders["parakeet"], "AutoModelForCTC")
    ids = model.generate(**processor([clip.samples], sampling_rate=16_000))
    assert answer.text == " ".join(processor.batch_decode(ids, skip_special_tokens=True)[0].split())


def test_the_words_of_a_char_vocabulary_lie_on_frames_of_20_ms(folders: dict[str, Path]) -> None:
    recognizer = Ctc.load(folders["wav2vec2-layer"], device="cpu", dtype="float32")
    (answer,) = recognizer.transcribe([Request(tiny.babble(2), families.WORDS)])
    assert answer.words
    assert all(word.start % 320 == 0 and word.end % 320 == 0 for word in answer.words)


def _logits(model: Any, processor: Any, clip: Clip) -> Any:
    with torch.inference_mode():
        return model(**processor(clip.samples, sampling_rate=16_000, return_tensors="pt")).logits
