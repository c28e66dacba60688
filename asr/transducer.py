"""Transducer: an encoder, a predictor over the emitted tokens, a joint of both. Parakeet, Nemotron.

RNN-T: Graves 2012. TDT, where each emission also says how many frames it spans: Xu et al. 2023.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import Tensor
from transformers import AutoModelForRNNT, AutoModelForTDT

from asr.hypothesis import Hypothesis, Request
from asr.pretrained import BATCH_SECONDS, Checkpoint, Speller, Token, transcribe_in_batches
from audio.clip import Clip


class Transducer:
    """Greedy transducer decoding of a whole batch in step.

    The loop is ours: generate() gives no probabilities, and may stay for ever on a frame of a TDT model.
    """

    family: ClassVar[str] = "transducer"
    languages: ClassVar[tuple[str, ...]] = ()
    honours: ClassVar[frozenset[str]] = frozenset({"words"})  # of the options
    model_types: ClassVar[frozenset[str]] = frozenset(
        {"parakeet_tdt", "parakeet_rnnt", "nemotron_asr_streaming"}
    )

    def __init__(self, checkpoint: Checkpoint, *, batch_seconds: float = BATCH_SECONDS) -> None:
        self.device = checkpoint.device
        self.dtype = checkpoint.dtype_name
        self._checkpoint = checkpoint
        self._batch_seconds = batch_seconds
        self._speller = Speller(checkpoint.tokenizer, group_tokens=False)
        factor: int = checkpoint.model.config.encoder_config.subsampling_factor
        lookahead = getattr(checkpoint.model.config.encoder_config, "default_num_lookahead_tokens", None)
        self._lookahead = {} if lookahead is None else {"num_lookahead_tokens": lookahead}  # Nemotron's
        self._frame: int = checkpoint.feature_extractor.hop_length * factor  # samples

    @classmethod
    def load(
        cls, source: str | Path, *, device: str, dtype: str = "auto", local_files_only: bool = False
    ) -> Self:
        """source: a hub id or a folder. Raises ModelUnavailable, UnsupportedModel."""
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
    def transcribe(self, requests: Sequence[Request]) -> list[Hypothesis]:
        return transcribe_in_batches(
            requests, self._recognize, batch_seconds=self._batch_seconds, min_fill=0.5
        )

    def _recognize(self, requests: list[Request]) -> list[Hypothesis]:
        features = self._checkpoint.features([request.clip for request in requests])
        encoded = self._checkpoint.model.get_audio_features(
            **features, **self._lookahead, output_attention_mask=True
        )
        emissions = decode(self._checkpoint.model, encoded.pooler_output, encoded.attention_mask.sum(-1))
        return [
            self._speller.hypothesis(
                self._tokens(request.clip, row),
                words=request.options.words,
                ignored=request.options.beyond(self.honours),
            )
            for request, row in zip(requests, emissions, strict=True)
        ]

    def _tokens(self, clip: Clip, emissions: Sequence["Emission"]) -> list[Token]:
        def sample(frame: int) -> int:
            return min(clip.start + frame * self._frame, clip.end)

        return [Token(e.id, sample(e.frame), sample(e.frame + e.span), e.log_prob) for e in emissions]


@dataclass(frozen=True, slots=True)
class Emission:
    """A token at an encoder frame. span: frames, at least 1; what the model predicts (TDT), or 1."""

    id: int
    frame: int
    span: int
    log_prob: float


def decode(model: Any, encoded: Tensor, valid: Tensor) -> list[list[Emission]]:
    """Greedy decoding; rows are independent.

    encoded: (B, frames, hidden), projected for the joint; valid: (B,), frames that are not padding.
    A frame emits max_symbols_per_step tokens at most, so this ends.
    """
    config = model.config
    durations = torch.tensor(getattr(config, "durations", None) or [0], device=encoded.device)
    rows = torch.arange(len(encoded), device=encoded.device)
    predictor = _Predictor(model.decoder, len(encoded), config.blank_token_id)
    frame = torch.zeros_like(rows)
    symbols = torch.zeros_like(rows)  # emitted since the row's frame last changed
    steps: list[Tensor] = []
    while bool((live := frame < valid).any()):
        here = encoded[rows, frame.clamp(max=encoded.shape[1] - 1)]
        logits = model.joint(encoder_hidden_states=here, decoder_hidden_states=predictor.output).float()
        log_prob, token = logits[:, : config.vocab_size].log_softmax(-1).max(-1)
        blank = token == config.blank_token_id
        span = durations[logits[:, config.vocab_size :].argmax(-1)] if len(durations) > 1 else blank.long()
        symbols = torch.where(blank, 0, symbols + 1)
        stuck = (span == 0) & (blank | (symbols >= config.max_symbols_per_step))
        advance = torch.where(stuck, 1, span)
        emits = live & ~blank
        steps.append(
            torch.stack([token.float(), frame.float(), span.float(), log_prob.float(), emits.float()])
        )
        predictor.feed(token, emits)
        symbols = torch.where(advance > 0, 0, symbols)
        frame = frame + advance
    return _emissions(steps, len(encoded))


def _emissions(steps: list[Tensor], rows: int) -> list[list[Emission]]:
    """steps: of (5, B): token, frame, span, log-probability, whether it was emitted. One transfer for all."""
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
    """The LSTM over the tokens emitted so far. output: (B, hidden)."""

    def __init__(self, network: Any, rows: int, blank: int) -> None:
        weights = network.embedding.weight
        shape = (network.lstm.num_layers, rows, network.lstm.hidden_size)
        self._network = network
        self._state = (weights.new_zeros(shape), weights.new_zeros(shape))
        self.output, self._state = self._step(torch.full((rows,), blank, device=weights.device))

    def feed(self, tokens: Tensor, emits: Tensor) -> None:
        """tokens: (B,); rows that did not emit stay as they are."""
        if not bool(emits.any()):
            return
        output, (hidden, cell) = self._step(tokens)
        mask = emits[:, None]
        self.output = torch.where(mask, output, self.output)
        self._state = (torch.where(mask, hidden, self._state[0]), torch.where(mask, cell, self._state[1]))

    def _step(self, tokens: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        output, state = self._network.lstm(self._network.embedding(tokens)[:, None], self._state)
        return self._network.decoder_projector(output)[:, 0], state
