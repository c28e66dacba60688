"""Recognize speech with transducer models: Parakeet and Nemotron.

A transducer has an encoder, a predictor over the emitted tokens and a joint network. RNN-T: Graves 2012. TDT,
where each emission also has a duration in frames: Xu et al. 2023.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final, Self

import torch
from torch import Tensor
from transformers import AutoModelForRNNT, AutoModelForTDT

from asr.hotword_boosting import ROOT, Phrasebook, PhraseTree
from asr.recognizer import Hypothesis, RecognitionRequest
from asr.row_batches import BATCH_SECONDS, transcribe_in_batches
from asr.timed_tokens import TimedToken, TokenDecoder
from asr.transformers_base import Checkpoint
from audio.clip import Clip

# The bonus for the first token of a phrase is lower, because it matches by chance more often.
FIRST_BONUS_NATS: Final = 1.0
NEXT_BONUS_NATS: Final = 2.0


class Transducer:
    """Decode all rows of a batch step by step with a transducer, greedily.

    The decoding loop is not that of transformers: generate() returns no probabilities, and may never leave a
    frame of a TDT model. Confidences are those of the network, without the boost. If the vocabulary cannot
    express one of the hotwords, the others are boosted, and Hypothesis.ignored contains "hotwords".
    """

    family: ClassVar[str] = "transducer"
    languages: ClassVar[tuple[str, ...]] = ()
    supported_options: ClassVar[frozenset[str]] = frozenset({"words", "hotwords"})
    model_types: ClassVar[frozenset[str]] = frozenset(
        {"parakeet_tdt", "parakeet_rnnt", "nemotron_asr_streaming"}
    )

    def __init__(self, checkpoint: Checkpoint, *, batch_seconds: float = BATCH_SECONDS) -> None:
        self.device = checkpoint.device
        self.dtype = checkpoint.dtype_name
        self._checkpoint = checkpoint
        self._batch_seconds = batch_seconds
        self._token_decoder = TokenDecoder(checkpoint.tokenizer, group_tokens=False)
        self.punctuates = self._token_decoder.has_punctuation
        self._phrases = Phrasebook(checkpoint.tokenizer, blank=checkpoint.model.config.blank_token_id)
        factor: int = checkpoint.model.config.encoder_config.subsampling_factor
        lookahead = getattr(checkpoint.model.config.encoder_config, "default_num_lookahead_tokens", None)
        self._lookahead = {} if lookahead is None else {"num_lookahead_tokens": lookahead}  # Nemotron has it.
        self._frame: int = checkpoint.feature_extractor.hop_length * factor  # samples

    @classmethod
    def load(
        cls, source: str | Path, *, device: str, dtype: str = "auto", local_files_only: bool = False
    ) -> Self:
        """Load a checkpoint from a hub id or a folder. Raises ModelUnavailable and UnsupportedModel."""
        return cls(
            Checkpoint.load(
                source,
                lambda kind: AutoModelForTDT if kind == "parakeet_tdt" else AutoModelForRNNT,
                model_types=cls.model_types,
                device=device,
                dtype=dtype,
                local_files_only=local_files_only,
            )
        )

    @torch.inference_mode()
    def transcribe(self, requests: Sequence[RecognitionRequest]) -> list[Hypothesis]:
        return transcribe_in_batches(
            requests, self._recognize, batch_seconds=self._batch_seconds, min_fill=0.5
        )

    def _recognize(self, requests: list[RecognitionRequest]) -> list[Hypothesis]:
        features = self._checkpoint.features([request.clip for request in requests])
        encoded = self._checkpoint.model.get_audio_features(
            **features, **self._lookahead, output_attention_mask=True
        )
        spellings = [self._phrases.spell(request.options.hotwords) for request in requests]
        emissions = decode(
            self._checkpoint.model,
            encoded.pooler_output,
            encoded.attention_mask.sum(-1),
            [each.tree for each in spellings],
        )
        return [
            self._token_decoder.hypothesis(
                self._tokens(request.clip, row),
                words=request.options.words,
                ignored=request.options.unsupported(
                    self.supported_options if each.complete else self.supported_options - {"hotwords"}
                ),
            )
            for request, row, each in zip(requests, emissions, spellings, strict=True)
        ]

    def _tokens(self, clip: Clip, emissions: Sequence["Emission"]) -> list[TimedToken]:
        def sample(frame: int) -> int:
            return min(clip.start + frame * self._frame, clip.end)

        return [TimedToken(e.id, sample(e.frame), sample(e.frame + e.span), e.log_prob) for e in emissions]


@dataclass(frozen=True, slots=True)
class Emission:
    """Hold a token that was emitted at an encoder frame.

    span: duration in frames, at least 1; predicted by TDT models, 1 for others
    log_prob: natural logarithm of the probability
    """

    id: int
    frame: int
    span: int
    log_prob: float


def decode(
    model: Any, encoded: Tensor, valid: Tensor, trees: Sequence[PhraseTree | None] = ()
) -> list[list[Emission]]:
    """Decode greedily; the rows are independent.

    encoded: (B, frames, hidden), projected for the joint network
    valid: (B,), number of frames that are not padding
    trees: phrases to boost in each row, or None; () if no row has any
    A frame emits at most max_symbols_per_step tokens, so decoding ends.
    """
    config = model.config
    durations = torch.tensor(getattr(config, "durations", None) or [0], device=encoded.device)
    rows = torch.arange(len(encoded), device=encoded.device)
    predictor = _Predictor(model.decoder, len(encoded), config.blank_token_id)
    boost = _PhraseBonus(trees, config.vocab_size, encoded.device) if any(trees) else None
    frame = torch.zeros_like(rows)
    symbols = torch.zeros_like(rows)  # Emitted at the current frame of each row.
    steps: list[Tensor] = []
    while bool((live := frame < valid).any()):
        here = encoded[rows, frame.clamp(max=encoded.shape[1] - 1)]
        logits = model.joint(encoder_hidden_states=here, decoder_hidden_states=predictor.output).float()
        log_probs = logits[:, : config.vocab_size].log_softmax(-1)
        log_prob, token = log_probs.max(-1)
        blank = token == config.blank_token_id
        if boost is not None:
            token = (log_probs + boost.bonus).argmax(
                -1
            )  # Applies only where the most likely token is not blank.
            log_prob = log_probs.gather(-1, token[:, None])[:, 0]
        span = durations[logits[:, config.vocab_size :].argmax(-1)] if len(durations) > 1 else blank.long()
        symbols = torch.where(blank, 0, symbols + 1)
        stuck = (span == 0) & (blank | (symbols >= config.max_symbols_per_step))
        advance = torch.where(stuck, 1, span)
        emits = live & ~blank
        steps.append(
            torch.stack([token.float(), frame.float(), span.float(), log_prob.float(), emits.float()])
        )
        predictor.feed(token, emits)
        if boost is not None:
            boost.feed(token, emits)
        symbols = torch.where(advance > 0, 0, symbols)
        frame = frame + advance
    return _emissions(steps, len(encoded))


def _emissions(steps: list[Tensor], rows: int) -> list[list[Emission]]:
    """Collect the emissions of each row, in one transfer from the device.

    steps: one tensor per step, (5, B): token, frame, span, log-probability and whether the row emitted it
    """
    table = torch.stack(steps).permute(2, 0, 1).tolist() if steps else [[]] * rows
    return [
        [
            Emission(int(token), int(frame), max(1, int(span)), log_prob)
            for token, frame, span, log_prob, on in row
            if on
        ]
        for row in table
    ]


class _Predictor:
    """Run the LSTM over the tokens emitted so far; `output` is (B, hidden)."""

    def __init__(self, network: Any, rows: int, blank: int) -> None:
        weights = network.embedding.weight
        shape = (network.lstm.num_layers, rows, network.lstm.hidden_size)
        self._network = network
        self._state = (weights.new_zeros(shape), weights.new_zeros(shape))
        self.output, self._state = self._step(torch.full((rows,), blank, device=weights.device))

    def feed(self, tokens: Tensor, emits: Tensor) -> None:
        """Advance the rows that emit by their tokens; tokens, emits: (B,)."""
        if not bool(emits.any()):
            return
        output, (hidden, cell) = self._step(tokens)
        mask = emits[:, None]
        self.output = torch.where(mask, output, self.output)
        self._state = (torch.where(mask, hidden, self._state[0]), torch.where(mask, cell, self._state[1]))

    def _step(self, tokens: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        output, state = self._network.lstm(self._network.embedding(tokens)[:, None], self._state)
        return self._network.decoder_projector(output)[:, 0], state


class _PhraseBonus:
    """Hold the bonus of each token in each row, which depends on the state of the row in its phrases.

    bonus: float32 (B, vocabulary)

    The network alone decides between a token and a blank, as in GPU-PB (Andrusenko et al. 2025), so boosting
    adds no text to silence. A greedy decoder cannot undo the start of a wrong phrase. A bonus is therefore
    never subtracted again, because that would favour continuing the wrong phrase. A boosted token replaces
    another one only if that one is more likely by at most the bonus.
    """

    def __init__(self, trees: Sequence[PhraseTree | None], vocabulary: int, device: torch.device) -> None:
        self._trees = {row: tree for row, tree in enumerate(trees) if tree is not None}
        self._states = {row: tree.start for row, tree in self._trees.items()}
        self._at_root = torch.zeros(len(trees), vocabulary, device=device)
        self._write(self._at_root, dict.fromkeys(self._trees, ROOT))
        self.bonus = self._at_root.clone()
        self._write(self.bonus, self._states)

    def feed(self, tokens: Tensor, emits: Tensor) -> None:
        """Advance the states of the rows that emit; tokens, emits: (B,).

        This is the only transfer to the host in a step, and happens only with hotwords.
        """
        emitted = torch.where(emits, tokens, -1).tolist()
        moved = {
            row: tree.advance(self._states[row], emitted[row])[0]
            for row, tree in self._trees.items()
            if emitted[row] >= 0
        }
        if moved:
            self._states |= moved
            rows = torch.tensor([*moved], device=self.bonus.device)
            self.bonus[rows] = self._at_root[rows]
            self._write(self.bonus, {row: state for row, state in moved.items() if state != ROOT})

    def _write(self, bonus: Tensor, states: dict[int, int]) -> None:
        """Write the bonuses of the tokens that continue a phrase; states: by row.

        The bonuses of tokens that begin a phrase are the same in each state and are written already.
        """
        places = [
            (row, token, FIRST_BONUS_NATS if count == 1 else NEXT_BONUS_NATS)
            for row, state in states.items()
            for token, count in self._trees[row].continuations(state).items()
        ]
        if places:
            rows, tokens, bonuses = zip(*places, strict=True)
            where = torch.tensor([rows, tokens], device=bonus.device)
            bonus[where[0], where[1]] = torch.tensor(bonuses, device=bonus.device)
