"""Search with a language model."""

from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from asr.ctc import Ctc, best_path
from asr.errors import ModelUnavailable
from asr.language_model import LanguageModel, WordScorer, words_of
from asr.recognizer import RecognitionRequest
from tests.asr import families, tiny
from tests.asr.test_ctc import BLANK, LETTERS, SPACE, heard, tree, written

# A cat is likely after "the", and a cab after "a"; the model knows no hat.
ARPA = """\\data\\
ngram 1=7
ngram 2=5

\\1-grams:
-2.0\t<unk>
-99\t<s>\t-0.3
-1.0\t</s>
-0.9\tthe\t-0.3
-0.9\ta\t-0.3
-1.2\tcat\t-0.3
-1.2\tcab\t-0.3

\\2-grams:
-0.1\tthe cat
-2.5\tthe cab
-0.1\ta cab
-2.5\ta cat
-0.3\tcat </s>

\\end\\
"""
PIECES = ["", "", *LETTERS[2:]]
needs_kenlm = pytest.mark.skipif(find_spec("flashlight") is None, reason="needs the extra beam")


@pytest.fixture
def arpa(tmp_path: Path) -> Path:
    path = tmp_path / "words.arpa"
    path.write_text(ARPA)
    return path


def spelled(text: str, *, doubt: float) -> torch.Tensor:
    """Hear a text letter by letter; its last letter is a B, or a T with `doubt` as its logit."""
    letters: list[str | dict[str, float]] = [frame for letter in text for frame in (letter, "-")]
    return heard(*letters, {"B": 0.0, "T": doubt}, "-")


def words(model: LanguageModel) -> WordScorer:
    return WordScorer(model, PIECES, SPACE)


@needs_kenlm
@pytest.mark.parametrize(
    ("said", "doubt", "plain", "best"),
    [
        ("THE|CA", -1.0, "THE|CAB", "THE|CAT"),
        ("A|CA", -1.0, "A|CAB", "A|CAB"),
        ("A|CA", 1.0, "A|CAT", "A|CAB"),
        ("THE|CA", -5.9, "THE|CAB", "THE|CAB"),  # heard too clearly
    ],
)
def test_language_model_decides_between_words_that_sound_alike(
    arpa: Path, said: str, doubt: float, plain: str, best: str
) -> None:
    log_probs, model = spelled(said, doubt=doubt), LanguageModel(arpa)
    assert written(best_path(log_probs, None, BLANK)) == plain
    assert written(best_path(log_probs, None, BLANK, words(model))) == best
    ended = torch.cat([log_probs, heard("|", "-", "A")])
    assert written(best_path(ended, None, BLANK, words(model))) == f"{best}|A"


@needs_kenlm
def test_word_that_the_language_model_does_not_know_is_written(arpa: Path) -> None:
    said = heard("T", "-", "H", "E", "|", "H", "-", "A", "T", "S")
    assert written(best_path(said, None, BLANK, words(LanguageModel(arpa)))) == "THE|HATS"


@needs_kenlm
def test_hotwords_and_words_are_scored_together(arpa: Path) -> None:
    log_probs, model = spelled("THE|CA", doubt=-1.0), LanguageModel(arpa)
    assert written(best_path(log_probs, tree("CAB"), BLANK, words(model))) == "THE|CAB"


@needs_kenlm
def test_case_and_punctuation_do_not_matter(arpa: Path) -> None:
    model = LanguageModel(arpa)
    scores = {model.score(model.start(), word)[1] for word in ("cat", "CAT", "Cat.", "«cat»,")}
    assert len(scores) == 1
    assert model.score(model.start(), "dog")[1] < scores.pop()
    assert model.score(model.start(), "-")[1] == 0


@needs_kenlm
def test_pieces_of_words_are_joined(arpa: Path) -> None:
    pieces = ["", "▁the", "▁c", "at", "ab"]
    said = torch.tensor([[0, 9, 0, 0, 0], [0, 0, 9, 0, 0], [0, 0, 0, 5, 5.5]]).log_softmax(-1)
    assert best_path(said, None, 0) == [1, 2, 4]
    assert best_path(said, None, 0, WordScorer(LanguageModel(arpa), pieces, None)) == [1, 2, 3]


@needs_kenlm
def test_recognizer_searches_with_its_language_model(tmp_path: Path, arpa: Path) -> None:
    folder = tiny.parakeet_ctc(tmp_path / "parakeet")
    _, model = tiny.parts(folder, "AutoModelForCTC")
    with torch.no_grad():
        model.ctc_head.weight.mul_(0.1)  # The best tokens have similar probabilities.
    model.save_pretrained(folder)
    plain, searching = (
        Ctc.load(folder, device="cpu", dtype="float32", language_model=path) for path in ("", str(arpa))
    )
    request = RecognitionRequest(tiny.babble(2), families.WORDS)
    before, after = plain.transcribe([request])[0], searching.transcribe([request])[0]
    # None of the words is known, so each one costs.
    assert len(after.text.split()) < len(before.text.split())
    assert [word.text for word in after.words] == after.text.split()
    families.assert_batched_equals_alone(searching, 0)


def test_words_of_a_file_are_its_1_grams(arpa: Path) -> None:
    assert list(words_of(arpa)) == ["<unk>", "<s>", "</s>", "the", "a", "cat", "cab"]


@pytest.mark.parametrize("text", ["", "hello", "\\data\\\nngram 1=2\n", "\\data\\\n\\1-grams:\n-1\ta\n"])
def test_other_file_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "words.arpa"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"1-grams|ARPA"):
        list(words_of(path))
    with pytest.raises(ModelUnavailable, match=r"words\.arpa"):
        LanguageModel(path)
