"""Test what a vocabulary says about the texts that its model writes."""

from pathlib import Path

import pytest
from transformers import Wav2Vec2CTCTokenizer

from asr.timed_tokens import TokenDecoder


def decoder(folder: Path, *letters: str) -> TokenDecoder:
    special = ["<pad>", "<s>", "</s>", "<unk>", "|"]
    words = ", ".join(f'"{token}": {number}' for number, token in enumerate([*special, *letters]))
    path = folder / "vocab.json"
    path.write_text(f"{{{words}}}", encoding="utf-8")
    return TokenDecoder(Wav2Vec2CTCTokenizer(str(path)))  # type: ignore[no-untyped-call]


@pytest.mark.parametrize(
    ("letters", "punctuates"),
    [(("a", "b", "'"), False), (("a", "b", "."), True), (("あ", "。"), True), ((), False)],
)
def test_vocabulary_with_the_end_of_a_sentence_punctuates(
    letters: tuple[str, ...], punctuates: bool, tmp_path: Path
) -> None:
    assert decoder(tmp_path, *letters).has_punctuation == punctuates
