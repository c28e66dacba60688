"""The autoregressive half of Seq2Seq: a batch is written in step; and what each family tells about itself."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, Self

import torch
from torch import Tensor

from asr.recognizer import TranscriptionOptions
from asr.transformers_base import Checkpoint
from audio.clip import SAMPLE_RATE, Clip

WINDOW: Final = 30 * SAMPLE_RATE  # samples: the longest clip these models were trained on

# A decoder that has lost its way repeats itself for ever. Moonshine's authors allow 6.5 tokens a second for
# English and 13 for other scripts.
TOKENS_PER_SECOND: Final = 13
TOKENS_AT_LEAST: Final = 16


@dataclass(frozen=True, slots=True)
class Prefix:
    """What the decoder is told to have written already.

    start: index in ids of the token that starts the transcript; language: None when the model does not say;
    language_probability: None when it was not detected
    """

    ids: list[int]
    start: int = 0
    language: str | None = None
    language_probability: float | None = None


@dataclass(frozen=True, slots=True)
class DecodedRow:
    """A row's text. ids, log_probs: per token; no_speech: the probability that there is none, or None."""

    ids: list[int]
    log_probs: list[float]
    no_speech: float | None = None


@dataclass(frozen=True, slots=True)
class LogitMasks:
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


class ModelAdapter(Protocol):
    """What differs between the families.

    min_fill: least share of a row that must be sound (see batches)
    longest: samples that the encoder runs over at most, where fewer are a risk; 0 where they are none
    positions: the decoder's own bound, in tokens
    times: whether starts can tell when a token was said
    no_speech: the id whose probability at the start of the transcript is that of no speech, or None
    """

    languages: tuple[str, ...]
    min_fill: float
    longest: int
    positions: int
    penalties: LogitMasks
    times: bool
    no_speech: int | None

    def row_samples(self, clip: Clip) -> int:
        """Samples that the encoder runs over for this clip."""
        ...

    def ignored(self, options: TranscriptionOptions) -> tuple[str, ...]:
        """Names of the options that were given and cannot be honoured."""
        ...

    def encode(self, clips: Sequence[Clip], samples: int) -> Any:
        """The encoder's output as the model takes it back: last_hidden_state (B, frames, hidden), a mask.

        samples: that the encoder runs over, the most of the rows
        """
        ...

    def prompt(self, options: TranscriptionOptions) -> tuple[int, ...]:
        """Tokens in front of the transcript's own prefix."""
        ...

    def prefixes(self, encoded: Any, options: Sequence[TranscriptionOptions]) -> list[Prefix]:
        """One per row, prompts included."""
        ...

    def starts(self, encoded: Any, row: int, clip: Clip, prefix: Prefix, ids: Sequence[int]) -> list[int]:
        """Sample of the stream where each token begins, and where the last one ends."""
        ...


def token_limit(clip: Clip, positions: int) -> int:
    """The most tokens a clip may become; positions: what is left of the decoder's own bound."""
    return min(positions, TOKENS_AT_LEAST + int(TOKENS_PER_SECOND * clip.seconds))


class GumbelSampler:
    """Gumbel noise times each row's temperature: the likeliest of logits + noise is a draw from the softmax
    of logits / temperature (Maddison et al. 2014), and at temperature 0 it stays the likeliest.

    Drawn on the processor, per row from a seed of its own: no device and no neighbour changes what is drawn.
    """

    def __init__(self, temperatures: Sequence[float], seeds: Sequence[int]) -> None:
        self._temperatures = temperatures
        self._generators = [torch.Generator().manual_seed(seed) for seed in seeds]

    def draw(self, rows: Sequence[int], width: int) -> Tensor:
        """(rows, width), float32."""
        return torch.stack([self._draw(row, width) for row in rows])

    def _draw(self, row: int, width: int) -> Tensor:
        temperature = self._temperatures[row]
        if temperature == 0:
            return torch.zeros(width)
        waits = torch.empty(width).exponential_(generator=self._generators[row])
        return -temperature * waits.clamp(min=torch.finfo(waits.dtype).tiny).log()


def decode(
    model: Any,
    encoded: Any,
    prefixes: Sequence[Prefix],
    limits: list[int],
    penalties: LogitMasks,
    *,
    no_speech: int | None = None,
    lots: GumbelSampler | None = None,
) -> list[DecodedRow]:
    """The likeliest token after the other, or what the lots say; rows are independent.

    encoded: the encoder's output; prefixes: of one length, with one start; limits: most tokens of each row.
    A row that has ended leaves the batch: a step costs what its rows cost.
    """
    device = penalties.always.device
    ids = torch.tensor([prefix.ids for prefix in prefixes], device=device)
    rows = torch.arange(len(prefixes), device=device)
    bounds = torch.tensor(limits, device=device)
    cache, silent = None, None
    steps: list[Tensor] = []
    for step in range(max(limits)):
        out = model(decoder_input_ids=ids, encoder_outputs=encoded, past_key_values=cache, use_cache=True)
        cache = out.past_key_values
        if step == 0 and no_speech is not None:
            silent = out.logits[:, prefixes[0].start].float().softmax(-1)[:, no_speech]
        logits = out.logits[:, -1].float() + (penalties.always if step else penalties.first)
        token = _choose(logits, rows, lots)
        log_prob = logits.log_softmax(-1).gather(-1, token[:, None])[:, 0]
        live = (token != penalties.end) & (step < bounds[rows])
        if not bool(live.all()):
            keep = live.nonzero()[:, 0]
            if not len(keep):
                break
            cache.batch_select_indices(keep)
            encoded = _select(encoded, keep)
            rows, token, log_prob = rows[keep], token[keep], log_prob[keep]
        steps.append(torch.stack([rows.float(), token.float(), log_prob]))
        ids = token[:, None]
    return _by_row(steps, [None] * len(prefixes) if silent is None else silent.tolist())


def _choose(logits: Tensor, rows: Tensor, lots: GumbelSampler | None) -> Tensor:
    """logits: (rows, vocabulary); rows: which of the batch they are."""
    if lots is None:
        return logits.argmax(-1)
    return (logits + lots.draw(rows.tolist(), logits.shape[-1]).to(logits.device)).argmax(-1)


def _select(encoded: Any, keep: Tensor) -> Any:
    return type(encoded)(**{name: value[keep] for name, value in encoded.items()})


def _by_row(steps: list[Tensor], silent: Sequence[float | None]) -> list[DecodedRow]:
    """steps: each (3, rows still live): row, token, log-probability. One transfer for all of them."""
    texts = [DecodedRow([], [], no_speech) for no_speech in silent]
    for row, token, log_prob in torch.cat(steps, dim=1).T.tolist() if steps else []:
        texts[int(row)].ids.append(int(token))
        texts[int(row)].log_probs.append(log_prob)
    return texts
