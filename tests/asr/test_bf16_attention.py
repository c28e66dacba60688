"""Attention as two matrix products equals the result of torch's own kernel."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from transformers import AutoModelForSpeechSeq2Seq
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from asr.bf16_attention import ATTENTION_NAME, QUERY_BLOCK, matmul_attention, use_matmul_attention
from asr.recognizer import RecognitionRequest
from asr.seq2seq import Seq2Seq
from asr.transformers_base import Checkpoint
from tests.asr import families, tiny

ROWS, HEADS, WIDTH = 2, 3, 8


class Looking(nn.Module):
    """Provide the attributes of a transformers attention layer that are read."""

    def __init__(self, is_causal: bool) -> None:
        super().__init__()
        self.is_causal = is_causal


LOOKS_ANYWHERE, LOOKS_BACK = Looking(False), Looking(True)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def inputs(queries: int, keys: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return heads in the memory layout of a projection."""
    query, key, value = (
        normal(ROWS, length, HEADS, WIDTH, seed=seed).transpose(1, 2)
        for seed, length in enumerate((queries, keys, keys))
    )
    return query, key, value


@pytest.mark.parametrize("module", [LOOKS_ANYWHERE, LOOKS_BACK])
@pytest.mark.parametrize(("queries", "keys"), [(1, 1), (1, 40), (40, 40), (QUERY_BLOCK + 3, QUERY_BLOCK + 3)])
@pytest.mark.parametrize("scaling", [None, 1.0])
def test_it_is_the_attention_of_torch(
    module: nn.Module, queries: int, keys: int, scaling: float | None
) -> None:
    parts = inputs(queries, keys)
    ours, _ = matmul_attention(module, *parts, None, scaling=scaling)
    theirs, _ = sdpa_attention_forward(module, *parts, None, scaling=scaling)
    assert ours.shape == (ROWS, queries, HEADS, WIDTH)
    assert torch.allclose(ours, theirs, atol=1e-5)


@pytest.mark.parametrize("queries", [1, QUERY_BLOCK + 3])
def test_what_is_masked_is_not_seen(queries: int) -> None:
    query, key, value = inputs(queries, 30)
    mask = torch.ones(ROWS, 1, queries, 30, dtype=torch.bool)
    mask[1, ..., 20:] = False
    ours, _ = matmul_attention(LOOKS_ANYWHERE, query, key, value, mask)
    alone, _ = matmul_attention(LOOKS_ANYWHERE, query[1:], key[1:, :, :20], value[1:, :, :20], None)
    assert torch.allclose(ours[1:], alone, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("build", [tiny.whisper, tiny.moonshine, tiny.moonshine_streaming])
def test_a_recognizer_that_uses_it_hears_the_same(build: Callable[[Path], Path], tmp_path: Path) -> None:
    """Clips of different lengths share the batch and are masked."""
    requests = [RecognitionRequest(tiny.babble(seconds, 3)) for seconds in (1.0, 1.7, 2.0)]
    checkpoint = Checkpoint.load(
        build(tmp_path / "model"),
        lambda _: AutoModelForSpeechSeq2Seq,
        model_types=Seq2Seq.model_types,
        device="cpu",
        dtype="float32",
        local_files_only=True,
    )
    recognizer = Seq2Seq(checkpoint)
    before = recognizer.transcribe(requests)
    use_matmul_attention(checkpoint.model)
    assert checkpoint.model.config._attn_implementation == ATTENTION_NAME
    for ours, theirs in zip(recognizer.transcribe(requests), before, strict=True):
        families.assert_same(ours, theirs)


def test_a_recognizer_in_bfloat16_uses_it_on_the_cpu(tmp_path: Path) -> None:
    folder = tiny.whisper(tmp_path / "whisper")
    names = []
    for dtype in ("float32", "bfloat16"):
        checkpoint = Checkpoint.load(
            folder,
            lambda _: AutoModelForSpeechSeq2Seq,
            model_types=Seq2Seq.model_types,
            device="cpu",
            dtype=dtype,
            local_files_only=True,
        )
        assert Seq2Seq(checkpoint).transcribe([RecognitionRequest(tiny.babble(1))])[0].text
        names.append(checkpoint.model.config._attn_implementation)
    assert names == ["sdpa", ATTENTION_NAME]
