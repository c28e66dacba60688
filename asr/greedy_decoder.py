"""Decode batches autoregressively for Seq2Seq, and define what each model family provides for it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self

import torch
from torch import Tensor

from asr.recognizer import TranscriptionOptions
from asr.transformers_base import Checkpoint
from audio.clip import Clip


@dataclass(frozen=True, slots=True)
class Prefix:
    """Hold the tokens that precede the decoded text of a row.

    start: index in ids of the token that starts the transcript
    language: ISO 639-1 code; None if the model does not report one
    language_probability: 0..1; None if the language was not detected
    """

    ids: list[int]
    start: int = 0
    language: str | None = None
    language_probability: float | None = None


@dataclass(frozen=True, slots=True)
class DecodedRow:
    """Hold the decoded tokens of a row.

    ids, log_probs: one value per token
    no_speech: probability that the row has no speech; None if unknown
    """

    ids: list[int]
    log_probs: list[float]
    no_speech: float | None = None


@dataclass(frozen=True, slots=True)
class LogitMasks:
    """Hold masks that are added to the logits, each (vocabulary,): 0, or -inf for a token that is excluded.

    always: excludes tokens at every position but the first
    first: excludes tokens at the first position
    end: id of the token that ends the text
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
    """Provide what differs between the encoder-decoder model families.

    min_fill: least share of a row that must be audio and not padding (see `batches`)
    full_context: samples that the encoder takes when a shorter input is a risk; 0 if a shorter one is none
    positions: the decoder's own limit, in tokens
    masks: the tokens that are excluded
    has_times: whether `starts` returns the times of tokens
    no_speech: id of the token whose probability at the start of the transcript is that of no speech, or None
    """

    languages: tuple[str, ...]
    min_fill: float
    full_context: int
    positions: int
    masks: LogitMasks
    has_times: bool
    no_speech: int | None

    def row_samples(self, clip: Clip) -> int:
        """Return the number of samples that the encoder takes for this clip."""
        ...

    def ignored(self, options: TranscriptionOptions) -> tuple[str, ...]:
        """Return the names of the options that were given and are not supported."""
        ...

    def encode(self, clips: Sequence[Clip], samples: int) -> Any:
        """Return the encoder's output in the form that the model accepts.

        It has a last_hidden_state (B, frames, hidden) and, in some families, a mask.
        samples: length of the encoder's input, the largest one of the rows
        """
        ...

    def prompt(self, options: TranscriptionOptions) -> tuple[int, ...]:
        """Return the tokens that precede the prefix of the transcript."""
        ...

    def prefixes(
        self, encoded: Any, options: Sequence[TranscriptionOptions], likely: Sequence[str | None]
    ) -> list[Prefix]:
        """Return one prefix per row, with the tokens of its prompt."""
        ...

    def starts(self, encoded: Any, row: int, clip: Clip, prefix: Prefix, ids: Sequence[int]) -> list[int]:
        """Return the sample of the stream where each token begins, and the one where the last token ends."""
        ...


class GumbelSampler:
    """Draw Gumbel noise for each row, scaled by the temperature of the row.

    The maximum of logits + noise is a sample from the softmax of logits / temperature (Maddison et al. 2014);
    at temperature 0 it is the most likely token. The noise is drawn on the CPU with one seed per row, so it
    depends neither on the device nor on the other rows.
    """

    def __init__(self, temperatures: Sequence[float], seeds: Sequence[int]) -> None:
        self._temperatures = temperatures
        self._generators = [torch.Generator().manual_seed(seed) for seed in seeds]

    def draw(self, rows: Sequence[int], width: int) -> Tensor:
        """Return the noise of some rows, float32 (rows, width)."""
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
    masks: LogitMasks,
    *,
    no_speech: int | None = None,
    sampler: GumbelSampler | None = None,
) -> list[DecodedRow]:
    """Decode a batch of independent rows, with the most likely token at each step or with a sampled one.

    encoded: output of the encoder
    prefixes: one per row, all of one length and with one start
    limits: most tokens of each row
    masks: the tokens that are excluded
    no_speech: id of the token whose probability is that of no speech, or None
    sampler: noise for rows with a temperature; None if no row has one
    A row that has ended leaves the batch, so the cost of a step depends on the remaining rows.
    """
    device = masks.always.device
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
        logits = out.logits[:, -1].float() + (masks.always if step else masks.first)
        token = _choose(logits, rows, sampler)
        log_prob = logits.log_softmax(-1).gather(-1, token[:, None])[:, 0]
        live = (token != masks.end) & (step < bounds[rows])
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


def _choose(logits: Tensor, rows: Tensor, sampler: GumbelSampler | None) -> Tensor:
    """Return the next token of each row; logits: (rows, vocabulary), rows: their indices in the batch."""
    if sampler is None:
        return logits.argmax(-1)
    return (logits + sampler.draw(rows.tolist(), logits.shape[-1]).to(logits.device)).argmax(-1)


def _select(encoded: Any, keep: Tensor) -> Any:
    return type(encoded)(**{name: value[keep] for name, value in encoded.items()})


def _by_row(steps: list[Tensor], silent: Sequence[float | None]) -> list[DecodedRow]:
    """Collect the decoded tokens of each row, in one transfer from the device.

    steps: one tensor per step, (3, live rows): row, token and log-probability
    silent: probability of no speech of each row, or None
    """
    texts = [DecodedRow([], [], no_speech) for no_speech in silent]
    for row, token, log_prob in torch.cat(steps, dim=1).T.tolist() if steps else []:
        texts[int(row)].ids.append(int(token))
        texts[int(row)].log_probs.append(log_prob)
    return texts
