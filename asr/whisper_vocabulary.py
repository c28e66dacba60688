"""Read Whisper's vocabulary and tokenizer from a folder in CTranslate2's format, without transformers."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from asr.errors import ModelUnavailable

END: Final = "<|endoftext|>"
_CONTROL: Final = re.compile(r"<\|.*\|>")
_NO_SPEECH: Final = ("<|nospeech|>", "<|nocaptions|>")  # Older vocabularies have the second.


class WhisperVocabulary:
    """Convert between text and token ids.

    Ids up to that of END are text; all others are control and timestamp tokens.
    """

    def __init__(self, tokens: Sequence[str], tokenizer: Tokenizer) -> None:
        self._tokens = tokens
        self._ids = {token: index for index, token in enumerate(tokens)}
        self._tokenizer = tokenizer
        self.end = self._ids[END]
        self.no_speech = next((self._ids[name] for name in _NO_SPEECH if name in self._ids), None)
        self.all_special_ids = range(self.end, len(tokens))

    @classmethod
    def load(cls, folder: Path) -> "WhisperVocabulary":
        """Read vocabulary.json or vocabulary.txt, and tokenizer.json if the folder has one.

        Raises ModelUnavailable if there is no vocabulary.
        """
        tokens = _read_tokens(folder)
        file = folder / "tokenizer.json"
        return cls(tokens, Tokenizer.from_file(str(file)) if file.is_file() else build_tokenizer(tokens))

    def __len__(self) -> int:
        return len(self._tokens)

    def id_of(self, token: str) -> int:
        """Return the id of a token. Raises KeyError."""
        return self._ids[token]

    def has(self, token: str) -> bool:
        """Return whether the vocabulary has a token."""
        return token in self._ids

    def encode_text(self, text: str) -> list[int]:
        """Return the tokens of a text without the control tokens that may be written in it."""
        if not text.strip():
            return []
        encoded = self._tokenizer.encode(" " + text.strip(), add_special_tokens=False)
        return [token for token in encoded.ids if token < self.end]

    # The methods that TokenDecoder calls, as in transformers:

    def decode(self, ids: Sequence[int], skip_special_tokens: bool = True) -> str:
        """Return the text of token ids."""
        text: str = self._tokenizer.decode(list(ids), skip_special_tokens=skip_special_tokens)
        return text

    def convert_ids_to_tokens(self, ids: Sequence[int]) -> list[str]:
        """Return the spelling of each token in the vocabulary."""
        return [self._tokens[index] for index in ids]


def build_tokenizer(tokens: Sequence[str]) -> Tokenizer:
    """Return the byte-level BPE tokenizer of a vocabulary.

    The order of the vocabulary is that of the merges, so the merges can be found again.
    """
    end = tokens.index(END)
    vocabulary = {token: index for index, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.BPE(vocabulary, _merges(tokens[:end])))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([token for token in tokens[end:] if _CONTROL.fullmatch(token)])
    return tokenizer


def _merges(tokens: Sequence[str]) -> list[tuple[str, str]]:
    """Return the pair of tokens from which each longer token is made.

    The letters of a token are merged by the earlier tokens until two parts are left, as BPE itself would do.
    """
    ranks = {token: rank for rank, token in enumerate(tokens)}
    merges = []
    for rank, token in enumerate(tokens):
        parts = list(token)
        while len(parts) > 2:
            pairs = [ranks.get(parts[i] + parts[i + 1], rank) for i in range(len(parts) - 1)]
            lowest = min(pairs)
            if lowest == rank:
                break
            place = pairs.index(lowest)
            parts[place : place + 2] = [parts[place] + parts[place + 1]]
        if len(parts) == 2:
            merges.append((parts[0], parts[1]))
    return merges


def _read_tokens(folder: Path) -> list[str]:
    file = folder / "vocabulary.json"
    if file.is_file():
        tokens: list[str] = json.loads(file.read_text(encoding="utf-8"))
        return tokens
    file = folder / "vocabulary.txt"
    if file.is_file():
        # Not splitlines, which also splits at other separators.
        return file.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    raise ModelUnavailable(f"{folder} has neither vocabulary.json nor vocabulary.txt")
