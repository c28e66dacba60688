"""The autoregressive half of Seq2Seq: greedy decoding of a batch in step, and what each family tells it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, Self

import torch
from torch import Tensor

from asr.hypothesis import Options
from asr.pretrained import Checkpoint
from audio.clip import SAMPLE_RATE, Clip

WINDOW: Final = 30 * SAMPLE_RATE  # samples: the longest clip these models were trained on

# A decoder that has lost its way repeats itself for ever. Moonshine's authors allow 6.5 tokens a second for
# English and 13 for other scripts.
TOKENS_PER_SECOND: Final = 13
TOKENS_AT_LEAST: Final = 16


@dataclass(frozen=True, slots=True)
class Prefix:
    """What the decoder is told to have written already. language: None when the model does not say."""

    ids: list[int]
    language: str | None = None


@dataclass(frozen=True, slots=True)
class Penalties:
    """Added to the logits, (vocabulary,): 0, or -inf for what may not be written at all, or not first.

    end: the id that ends the text
    """

    always: Tensor
    first: Tensor
    end: int

    @classmethod
    def of(cls, checkpoint: Checkpoint, *, never: Sequence[int], not_first: Sequence[int], end: int) -> Self:
        always = torch.zeros(checkpoint.model.config.vocab_size)
        always[list(never)] = -torch.inf
        first = always.clone()
        first[list(not_first)] = -torch.inf
        return cls(always.to(checkpoint.device), first.to(checkpoint.device), end)


class Dialect(Protocol):
    """What differs between the families.

    min_fill: least share of a row that must be sound (see batches)
    positions: the decoder's own bound, in tokens
    times: whether starts can tell when a token was said
    """

    languages: tuple[str, ...]
    min_fill: float
    positions: int
    penalties: Penalties
    times: bool

    def row_samples(self, clip: Clip) -> int:
        """Samples that the encoder runs over for this clip."""
        ...

    def encode(self, clips: Sequence[Clip]) -> Any:
        """The encoder's output as the model takes it back: last_hidden_state (B, frames, hidden), a mask."""
        ...

    def prompt(self, options: Options) -> tuple[int, ...]:
        """Tokens in front of the transcript's own prefix."""
        ...

    def prefixes(self, encoded: Any, options: Sequence[Options]) -> list[Prefix]:
        """One per row, prompts included."""
        ...

    def starts(self, encoded: Any, row: int, clip: Clip, prefix: Prefix, ids: Sequence[int]) -> list[int]:
        """Sample of the stream where each token begins, and where the last one ends."""
        ...


def token_limit(clip: Clip, positions: int) -> int:
    """The most tokens a clip may become; positions: what is left of the decoder's own bound."""
    return min(positions, TOKENS_AT_LEAST + int(TOKENS_PER_SECOND * clip.seconds))


def decode(
    model: Any, encoded: Any, prefixes: list[list[int]], limits: list[int], penalties: Penalties
) -> list[tuple[list[int], list[float]]]:
    """Greedy decoding: per row the token ids and their log-probabilities; rows are independent.

    encoded: the encoder's output; prefixes: of one length; limits: most tokens of each row.
    A row that has ended leaves the batch: a step costs what its rows cost.
    """
    device = penalties.always.device
    ids = torch.tensor(prefixes, device=device)
    rows = torch.arange(len(prefixes), device=device)
    bounds = torch.tensor(limits, device=device)
    cache = None
    written: list[Tensor] = []
    for step in range(max(limits)):
        out = model(decoder_input_ids=ids, encoder_outputs=encoded, past_key_values=cache, use_cache=True)
        cache = out.past_key_values
        logits = out.logits[:, -1].float() + (penalties.always if step else penalties.first)
        log_prob, token = logits.log_softmax(-1).max(-1)
        live = (token != penalties.end) & (step < bounds[rows])
        if not bool(live.all()):
            keep = live.nonzero()[:, 0]
            if not len(keep):
                break
            cache.batch_select_indices(keep)
            encoded = _select(encoded, keep)
            rows, token, log_prob = rows[keep], token[keep], log_prob[keep]
        written.append(torch.stack([rows.float(), token.float(), log_prob]))
        ids = token[:, None]
    return _by_row(written, len(prefixes))


def _select(encoded: Any, keep: Tensor) -> Any:
    return type(encoded)(**{name: value[keep] for name, value in encoded.items()})


def _by_row(written: list[Tensor], count: int) -> list[tuple[list[int], list[float]]]:
    """written: per step (3, rows still live): row, token, log-probability. One transfer for all of them."""
    texts: list[tuple[list[int], list[float]]] = [([], []) for _ in range(count)]
    for row, token, log_prob in torch.cat(written, dim=1).T.tolist() if written else []:
        texts[int(row)][0].append(int(token))
        texts[int(row)][1].append(log_prob)
    return texts
