"""A token classifier of the real architectures writes marks and capitals into the texts of a recognizer."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import (
    BertConfig,
    BertForTokenClassification,
    PreTrainedTokenizerFast,
    XLMRobertaConfig,
    XLMRobertaForTokenClassification,
)

from asr.errors import UnsupportedModel
from asr.model_registry import LoadedModel
from asr.recognizer import Hypothesis, ModelInfo, RecognitionRequest, Word
from audio.clip import Clip
from postprocessing.punctuation_model import PunctuatingRecognizer, PunctuationModel, with_punctuation
from tests.postprocessing.test_punctuation import FULLSTOP, RPUNCT
from tests.streaming.fakes import sound

SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]
WORDS = ["hello", "there", "how", "are", "you", "fine", "thanks", "bob", "an", "##swer", "fi", "##ne"]
CLIP = Clip(sound((True, 1_600)))


def bert(folder: Path, labels: Sequence[str], wanted: Mapping[str, str] | None) -> Path:
    """Write a BERT with a vocabulary of whole words; wanted: the label of each token, or None for chance."""
    tokenizer = Tokenizer(
        models.WordPiece({word: n for n, word in enumerate(SPECIAL + WORDS)}, unk_token="<unk>")
    )
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    config = BertConfig(
        vocab_size=len(SPECIAL + WORDS),
        hidden_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=40,
        id2label=dict(enumerate(labels)),
    )
    torch.manual_seed(0)
    model = BertForTokenClassification(config)
    if wanted is not None:
        _know(model, model.bert, SPECIAL + WORDS, labels, wanted)
    return _saved(folder, model, tokenizer)


def xlm_roberta(folder: Path, labels: Sequence[str], wanted: Mapping[str, str] | None) -> Path:
    """Write an XLM-RoBERTa with a vocabulary of sentencepiece (Unigram), as `bert` does."""
    pieces = ["▁" + word.removeprefix("##") for word in WORDS if not word.startswith("##")] + ["swer", "ne"]
    vocabulary = [(piece, 0.0) for piece in SPECIAL] + [(piece, -float(n)) for n, piece in enumerate(pieces)]
    tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=3))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    config = XLMRobertaConfig(
        vocab_size=len(vocabulary),
        hidden_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=42,
        pad_token_id=1,
        id2label=dict(enumerate(labels)),
    )
    torch.manual_seed(0)
    model = XLMRobertaForTokenClassification(config)
    if wanted is not None:
        _know(model, model.roberta, SPECIAL + pieces, labels, wanted)
    return _saved(folder, model, tokenizer)


def _know(
    model: Any, base: Any, tokens: Sequence[str], labels: Sequence[str], wanted: Mapping[str, str]
) -> None:
    """Let a model give each token its label: its layers pass the token on, and its head looks it up."""
    with torch.no_grad():
        embeddings = base.embeddings
        embeddings.position_embeddings.weight.zero_()
        embeddings.token_type_embeddings.weight.zero_()
        embeddings.word_embeddings.weight.zero_()
        embeddings.word_embeddings.weight[:, : len(tokens)] = 10 * torch.eye(len(tokens))
        for layer in base.encoder.layer:
            for linear in (layer.attention.output.dense, layer.output.dense):
                linear.weight.zero_()
                linear.bias.zero_()
        model.classifier.weight.zero_()
        model.classifier.bias.zero_()
        for number, token in enumerate(tokens):
            label = wanted.get(token.removeprefix("▁"), labels[1] if labels[0] == "OU" else labels[0])
            model.classifier.weight[list(labels).index(label), number] = 1


def _saved(
    folder: Path, model: BertForTokenClassification | XLMRobertaForTokenClassification, tokens: Tokenizer
) -> Path:
    tokens.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    model.save_pretrained(folder)
    fast = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokens,
        cls_token="<s>",
        pad_token="<pad>",
        sep_token="</s>",
        unk_token="<unk>",
        model_max_length=40,
    )
    fast.save_pretrained(folder)
    return folder


def loaded(folder: Path) -> PunctuationModel:
    return PunctuationModel.load(str(folder), device="cpu", dtype="float32", hub_timeout=1)


def text_of(model: PunctuationModel, *texts: str, english: bool = False) -> list[str]:
    return [said.text for said in model.restore([Hypothesis(text) for text in texts], english=english)]


def test_xlm_roberta_writes_the_marks_of_its_labels(tmp_path: Path) -> None:
    wanted = {"hello": ",", "there": ".", "you": "?", "thanks": "-", "bob": ".", "swer": ":"}
    model = loaded(xlm_roberta(tmp_path, FULLSTOP, wanted))
    assert text_of(model, "hello there how are you", "fine thanks bob an", "answer how") == [
        "Hello, there. How are you?",
        "Fine thanks bob. An",
        "Answer: how",  # the label of the last token
    ]


def test_bert_writes_the_marks_and_capitals_of_its_labels(tmp_path: Path) -> None:
    wanted = {"hello": ",U", "you": "?O", "bob": ".U", "an": ":O", "##swer": "!U"}
    model = loaded(bert(tmp_path, RPUNCT, wanted))
    assert text_of(model, "hello how are you bob", "HELLO BOB", "answer") == [
        "Hello, how are you? Bob.",
        "Hello, Bob.",
        "answer:",  # the label of the first token
    ]


def test_long_text_has_the_labels_of_its_words_in_windows(tmp_path: Path) -> None:
    model = loaded(xlm_roberta(tmp_path, FULLSTOP, {"bob": ".", "you": ","}))
    words = ("hello you there bob " * 40).split()
    (text,) = text_of(model, " ".join(words))
    assert text == " ".join(["Hello you, there bob."] * 40)


@pytest.mark.parametrize("build", [bert, xlm_roberta])
def test_batch_and_single_text_give_the_same(build: object, tmp_path: Path) -> None:
    assert callable(build)
    model = loaded(build(tmp_path, RPUNCT if build is bert else FULLSTOP, None))
    texts = ["hello there", "you", "how are you bob " * 20, "thanks " * 30]
    assert text_of(model, *texts) == [text_of(model, text)[0] for text in texts]
    for text, written in zip(texts, text_of(model, *texts), strict=True):
        bare = [word.strip(".,?!:;").lower() for word in written.split()]
        assert bare == text.split()


def test_words_keep_their_times_and_speakers(tmp_path: Path) -> None:
    model = loaded(xlm_roberta(tmp_path, FULLSTOP, {"bob": "."}))
    words = (Word("hello", 10, 20, 0.5), Word("bob", 20, 40, 0.9, speaker="A"))
    (said,) = model.restore([Hypothesis("hello bob", words, confidence=0.7)])
    assert said.text == "Hello bob."
    assert said.words == (Word("Hello", 10, 20, 0.5), Word("bob.", 20, 40, 0.9, speaker="A"))
    assert said.confidence == 0.7


def test_empty_text_and_very_long_words_are_no_problem(tmp_path: Path) -> None:
    model = loaded(xlm_roberta(tmp_path, FULLSTOP, {"bob": "."}))
    assert model.restore([]) == []
    assert model.restore([Hypothesis("")]) == [Hypothesis("")]
    (text,) = text_of(model, f"{'x' * 5_000} bob")
    assert text == f"X{'x' * 4_999} bob."


class BareWords:
    """Say the same words for each clip."""

    languages = ("en",)

    def transcribe(self, requests: Sequence[RecognitionRequest]) -> list[Hypothesis]:
        return [Hypothesis("hello bob") for _ in requests]


def bare_words() -> LoadedModel:
    info = ModelInfo("bare", "bare", "ctc", "cpu", "float32", languages=("en",), punctuates=False)
    return LoadedModel(BareWords(), info)


def test_only_finals_are_restored(tmp_path: Path) -> None:
    recognizer = PunctuatingRecognizer(bare_words(), loaded(xlm_roberta(tmp_path, FULLSTOP, {"bob": "."})))
    requests = [RecognitionRequest(CLIP, partial=True), RecognitionRequest(CLIP)]
    partial, final = recognizer.transcribe(requests)
    assert (partial.text, final.text) == ("hello bob", "Hello bob.")
    assert (partial.stable_chars, final.stable_chars) == (0, None)


def test_description_names_the_model(tmp_path: Path) -> None:
    folder = str(xlm_roberta(tmp_path, FULLSTOP, {"bob": "."}))
    description = with_punctuation(bare_words(), folder, dtype="float32", hub_timeout=1).description
    assert (description.punctuates, description.punctuation_model) == (True, folder)


def test_without_the_model_the_words_stay_bare(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    words = bare_words()
    assert with_punctuation(words, "nobody/none", dtype="float32", hub_timeout=0.1) is words
    assert "punctuation_model.unavailable model=nobody/none" in caplog.text


def test_other_models_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedModel, match=r"cannot restore punctuation: .*B-PER"):
        loaded(bert(tmp_path, ["O", "B-PER"], None))
