"""8-bit linear layers are close to the original ones, and rows are independent."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from transformers import AutoModelForCTC, AutoModelForSpeechSeq2Seq, AutoModelForTDT

from asr.ctc import Ctc
from asr.int8_linear import MAX_CODE, MIN_WEIGHTS, ZERO_POINT, Int8Linear, encode_rows, quantize
from asr.recognizer import RecognitionRequest
from asr.seq2seq import Seq2Seq
from asr.transducer import Transducer
from asr.transformers_base import VNNI_FLAGS, Checkpoint, cpu_has
from tests.asr import tiny

pytestmark = pytest.mark.skipif(not cpu_has(VNNI_FLAGS), reason="this processor has no VNNI")

WIDE = 96


def rows(count: int, seed: int, loudest: float = 10.0) -> torch.Tensor:
    """Return rows whose scales differ by powers of ten."""
    generator = torch.Generator().manual_seed(seed)
    loudness = loudest ** torch.rand(count, 1, generator=generator)
    return loudness * torch.randn(count, WIDE, generator=generator)


def linear(bias: bool = True) -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(WIDE, 40, bias=bias)


@given(count=st.integers(1, 9), seed=st.integers(0, 99))
def test_codes_give_back_a_row_to_half_a_step(count: int, seed: int) -> None:
    sound = rows(count, seed, 1e6)
    codes, scale = encode_rows(sound)
    assert int(codes.min()) >= ZERO_POINT - MAX_CODE
    wrong = (sound - (codes.float() - ZERO_POINT) * scale).abs() / scale
    assert float(wrong.max()) <= 0.5 + 1e-4


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_loudest_number_of_a_row_does_not_overflow(dtype: torch.dtype) -> None:
    peaks = torch.linspace(0.001, 1000, 5000)[:, None].to(dtype)
    codes, _ = encode_rows(torch.cat([peaks, -peaks], 1))
    assert codes.tolist() == [[ZERO_POINT + MAX_CODE, ZERO_POINT - MAX_CODE]] * len(peaks)


@torch.inference_mode()
@given(count=st.integers(1, 9), seed=st.integers(0, 99))
def test_a_row_is_the_same_whatever_its_neighbours_are(count: int, seed: int) -> None:
    layer, sound = Int8Linear(linear()), rows(count, seed, 1e6)
    together = layer(sound)
    for row in range(count):
        assert torch.equal(layer(sound[row : row + 1])[0], together[row])


@torch.inference_mode()
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_it_computes_what_the_layer_does_to_a_hundredth(bias: bool, dtype: torch.dtype) -> None:
    plain = linear(bias).to(dtype)
    sound = rows(30, 1, 1.0).to(dtype).view(2, 3, 5, WIDE)
    exact, found = plain(sound).float(), Int8Linear(plain)(sound)
    assert (found.dtype, found.shape) == (dtype, exact.shape)
    assert float((found.float() - exact).abs().mean() / exact.abs().mean()) < 0.015


@torch.inference_mode()
def test_rows_and_weights_of_zeros_stay_zeros() -> None:
    plain = linear(bias=False)
    plain.weight[3] = 0
    found = Int8Linear(plain)(torch.cat([torch.zeros(1, WIDE), rows(1, 0)]))
    assert not found[0].any()
    assert found[1, 3] == 0
    assert torch.isfinite(found).all()


def test_linear_layers_are_replaced_and_what_shares_a_weight_is_kept() -> None:
    embedding = nn.Embedding(40, WIDE)
    head = linear()
    head.weight = embedding.weight
    inner = nn.Sequential(linear(), nn.GELU())
    model = nn.Sequential(inner, embedding, head)
    quantize(model)
    assert isinstance(inner[0], Int8Linear)
    assert isinstance(model[2], Int8Linear)
    assert model[1] is embedding
    assert embedding.weight.dtype is torch.float32


def test_in_bfloat16_only_large_layers_are_replaced() -> None:
    model = nn.Sequential(nn.Linear(1024, MIN_WEIGHTS[torch.bfloat16] // 1024), nn.Linear(8, 8)).bfloat16()
    quantize(model)
    assert isinstance(model[0], Int8Linear)
    assert not isinstance(model[1], Int8Linear)


FAMILIES: dict[str, tuple[Callable[[Path], Path], type[Ctc | Transducer | Seq2Seq], Any]] = {
    "whisper": (tiny.whisper, Seq2Seq, AutoModelForSpeechSeq2Seq),
    "moonshine": (tiny.moonshine, Seq2Seq, AutoModelForSpeechSeq2Seq),
    "moonshine-streaming": (tiny.moonshine_streaming, Seq2Seq, AutoModelForSpeechSeq2Seq),
    "wav2vec2": (lambda folder: tiny.waveform_ctc(folder, "Wav2Vec2", "group"), Ctc, AutoModelForCTC),
    "parakeet-ctc": (tiny.parakeet_ctc, Ctc, AutoModelForCTC),
    "parakeet-tdt": (lambda folder: tiny.transducer(folder, "TDT"), Transducer, AutoModelForTDT),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", list(FAMILIES))
def test_a_family_says_in_a_batch_of_8_bits_what_it_says_alone(name: str, tmp_path: Path) -> None:
    build, family, auto = FAMILIES[name]
    checkpoint = Checkpoint.load(
        build(tmp_path / name),
        lambda _: auto,
        model_types=family.model_types,
        device="cpu",
        dtype="float32",
        local_files_only=True,
    )
    quantize(checkpoint.model)
    recognizer = family(checkpoint)
    requests = [RecognitionRequest(tiny.babble(0.4 + 0.3 * seed, seed)) for seed in range(3)]
    together = [answer.text for answer in recognizer.transcribe(requests)]
    assert together == [recognizer.transcribe([request])[0].text for request in requests]
    assert any(together)


def test_a_recognizer_in_8_bits_says_so_and_answers(tmp_path: Path) -> None:
    recognizer = Seq2Seq.load(tiny.whisper(tmp_path / "whisper"), device="cpu", dtype="int8")
    assert recognizer.dtype == "int8"
    assert recognizer.transcribe([RecognitionRequest(tiny.babble(1))])[0].text
