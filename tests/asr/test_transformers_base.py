"""Checkpoints, batching, padding masks and words of the transformers families."""

import math
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from transformers import AutoModelForCTC

from asr.ctc import Ctc
from asr.errors import AsrError, ModelUnavailable, UnsupportedModel
from asr.recognizer import RecognitionRequest
from asr.row_batches import batches
from asr.seq2seq import Seq2Seq
from asr.timed_tokens import TimedToken, TokenDecoder, confidence
from asr.transformers_base import (
    VNNI_FLAGS,
    MaskedGroupNorm,
    choose_dtype,
    cpu_has,
    mask_group_norms,
    model_type,
)
from tests.asr import tiny


@pytest.fixture(scope="module")
def wav2vec2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.waveform_ctc(tmp_path_factory.mktemp("models") / "wav2vec2", "Wav2Vec2", "layer")


def test_a_folder_tells_its_model_type(wav2vec2: Path) -> None:
    assert model_type(wav2vec2) == "wav2vec2"
    assert model_type(str(wav2vec2), local_files_only=True) == "wav2vec2"


def test_a_folder_that_is_not_there_is_an_unavailable_model(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable):
        Ctc.load(tmp_path / "nowhere", device="cpu", local_files_only=True)


def test_a_hub_id_that_is_not_in_the_cache_is_an_unavailable_model() -> None:
    with pytest.raises(ModelUnavailable):
        Ctc.load("nobody/has-this-model", device="cpu", local_files_only=True)


def test_an_architecture_of_another_family_is_unsupported(wav2vec2: Path) -> None:
    with pytest.raises(UnsupportedModel, match="unsupported type wav2vec2; supported: moonshine"):
        Seq2Seq.load(wav2vec2, device="cpu")


def test_an_architecture_that_nobody_knows_is_unsupported(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "ear-trumpet"}')
    with pytest.raises(UnsupportedModel):
        Ctc.load(tmp_path, device="cpu")


def test_a_model_without_its_head_is_refused_instead_of_guessing(wav2vec2: Path, tmp_path: Path) -> None:
    model = AutoModelForCTC.from_pretrained(wav2vec2)
    weights = {name: tensor for name, tensor in model.state_dict().items() if not name.startswith("lm_head")}
    model.save_pretrained(tmp_path, state_dict=weights)
    with pytest.raises(UnsupportedModel, match="has no weights for lm_head"):
        Ctc.load(tmp_path, device="cpu")


def test_errors_share_one_base_class() -> None:
    assert issubclass(ModelUnavailable, AsrError)
    assert issubclass(UnsupportedModel, AsrError)


def test_a_dtype_by_name_is_taken_as_it_is() -> None:
    assert choose_dtype("cpu", "float32") is torch.float32
    assert choose_dtype("cpu", "bfloat16") is torch.bfloat16


def test_auto_is_bfloat16_on_cuda_and_what_the_processor_computes_in_elsewhere() -> None:
    assert choose_dtype("cuda:0") is torch.bfloat16
    assert choose_dtype("cpu") in (torch.float32, torch.bfloat16)


def test_8_bits_leave_the_rest_of_a_model_as_auto_has_it() -> None:
    if not cpu_has(VNNI_FLAGS):
        pytest.skip("this processor has no VNNI")
    assert choose_dtype("cpu", "int8") is choose_dtype("cpu")


def test_8_bits_are_for_processors() -> None:
    with pytest.raises(ValueError, match="cuda:0 is not known to be one"):
        choose_dtype("cuda:0", "int8")


def test_a_processor_has_no_flag_that_nobody_knows() -> None:
    assert not cpu_has(frozenset({"ear_trumpet"}))


def test_an_unknown_dtype_is_refused() -> None:
    with pytest.raises(ValueError, match="float64"):
        choose_dtype("cpu", "float64")


def test_a_model_in_bfloat16_says_so_and_answers(wav2vec2: Path) -> None:
    recognizer = Ctc.load(wav2vec2, device="cpu", dtype="bfloat16")
    assert recognizer.dtype == "bfloat16"
    assert recognizer.transcribe([RecognitionRequest(tiny.babble(1))])[0].text


LENGTHS = st.lists(st.integers(1, 500), max_size=30)


@given(lengths=LENGTHS, budget=st.integers(1, 2000), fill=st.sampled_from((0.0, 0.5, 1.0)))
def test_batches_hold_each_row_once_within_budget_and_fill(
    lengths: list[int], budget: int, fill: float
) -> None:
    groups = batches(lengths, budget=budget, min_fill=fill)
    assert sorted(index for group in groups for index in group) == list(range(len(lengths)))
    for group in groups:
        rows = [lengths[index] for index in group]
        assert len(rows) == 1 or len(rows) * max(rows) <= budget
        assert min(rows) >= fill * max(rows)


@given(rows=st.lists(st.integers(20, 200), min_size=1, max_size=5), groups=st.sampled_from((1, 4, 8)))
def test_a_masked_group_norm_gives_each_row_what_it_gets_alone(rows: list[int], groups: int) -> None:
    torch.manual_seed(0)
    plain = nn.GroupNorm(groups, 8)
    nn.init.normal_(plain.weight)
    masked = MaskedGroupNorm(plain, kernel=10, stride=5)
    masked.samples = torch.tensor(rows)
    frames = [(row - 10) // 5 + 1 for row in rows]
    batch = torch.randn(len(rows), 8, max(frames))
    together = masked(batch)
    for row, count in enumerate(frames):
        alone = plain(batch[row : row + 1, :, :count])
        assert torch.allclose(together[row : row + 1, :, :count], alone, atol=1e-5)


def test_every_group_norm_of_a_model_is_replaced() -> None:
    model = nn.Sequential(nn.Conv1d(1, 8, 10, 5), nn.GroupNorm(8, 8), nn.LayerNorm(8))
    assert mask_group_norms(model, kernel=10, stride=5) == [model[1]]


class Letters:
    """Provide a tokenizer of five pieces with what TokenDecoder uses."""

    pieces = ("<s>", "▁a", "b", ".", "|")
    all_special_ids = (0, 4)  # as of wav2vec2, where the delimiter is one
    word_delimiter_token_id = 4

    def __len__(self) -> int:
        return len(self.pieces)

    def convert_ids_to_tokens(self, ids: list[int]) -> list[str]:
        return [self.pieces[i] for i in ids]

    def decode(self, ids: list[int], *, skip_special_tokens: bool) -> str:
        return "".join(self.pieces[i] for i in ids).replace("▁", " ").replace("|", " ")


def token(number: int, start: int, log_prob: float = 0.0) -> TimedToken:
    return TimedToken(number, start, start + 10, log_prob)


def test_words_open_at_a_space_mark_or_behind_a_delimiter() -> None:
    tokens = [token(1, 0), token(2, 10), token(1, 20), token(4, 30), token(2, 40)]
    words = TokenDecoder(Letters()).words(tokens)
    assert [(word.text, word.start, word.end) for word in words] == [
        ("ab", 0, 20),
        ("a", 20, 30),
        ("b", 40, 50),
    ]


def test_a_full_stop_emitted_late_does_not_prolong_its_word() -> None:
    (word,) = TokenDecoder(Letters()).words([token(1, 0), token(3, 900)])
    assert (word.text, word.end) == ("a.", 10)


def test_control_tokens_count_for_nothing() -> None:
    hypothesis = TokenDecoder(Letters()).hypothesis([token(0, 0, -9.0), token(1, 0, -1.0)], words=True)
    assert hypothesis.text == "a"
    assert hypothesis.confidence == pytest.approx(math.exp(-1))
    assert len(hypothesis.words) == 1


def test_confidence_is_the_geometric_mean_and_unknown_for_silence() -> None:
    assert confidence([token(1, 0, math.log(0.5)), token(1, 0, math.log(0.125))]) == pytest.approx(0.25)
    assert confidence([]) is None
