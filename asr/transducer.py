"""Recognize speech with transducer models: Parakeet and Nemotron.

A transducer has an encoder, a predictor over the emitted tokens and a joint network. RNN-T: Graves 2012. TDT,
where each emission also has a duration in frames: Xu et al. 2023.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final, Self

import torch
from torch import Tensor
from transformers import AutoModelForRNNT, AutoModelForTDT

from asr.cuda_graph import GraphCapture, Step, cuda_capture
from asr.hotword_boosting import ROOT, Phrasebook, PhraseTree
from asr.recognizer import Hypothesis, RecognitionRequest
from asr.row_batches import BATCH_SECONDS, transcribe_in_batches
from asr.timed_tokens import TimedToken, TokenDecoder
from asr.transformers_base import Checkpoint
from audio.clip import Clip

# The bonus for the first token of a phrase is lower, because it matches by chance more often.
FIRST_BONUS_NATS: Final = 1.0
NEXT_BONUS_NATS: Final = 2.0

# Rows for which a step is captured. More rows share a batch only where clips are shorter than a second.
GRAPH_ROWS: Final = (1, 4, 16, 64, 256)
STEPS_PER_LOOK: Final = 8  # of captured steps
CHECKED_FRAMES: Final = 8  # with which a captured step is compared with the plain one

log = logging.getLogger(__name__)


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
        graphs = GraphCapture(cuda_capture(self.device)) if self.device.startswith("cuda") else None
        self._decoder = TransducerDecoder(checkpoint.model, graphs)
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
        emissions = self._decoder.decode(
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


class TransducerDecoder:
    """Decode batches greedily; the rows of a batch are independent.

    With graphs, a step is a CUDA graph of a number of rows of GRAPH_ROWS, all captured at the start. A batch
    takes the next larger number, and the rows that it does not have are without frames.
    """

    @torch.no_grad()
    def __init__(self, model: Any, graphs: GraphCapture | None = None) -> None:
        """Decode with a model.

        graphs: captures steps; None runs them as they are
        """
        self._model = model
        self._captured: dict[int, tuple[_Batch, Step]] = {}  # by number of rows, ascending
        if graphs is not None:
            for rows in GRAPH_ROWS:
                batch = _Batch(model, rows, watched=False)
                step = graphs.of(batch.step)
                if not _agree(batch, step):
                    log.warning("cuda_graph.wrong rows=%d: steps run without a graph", rows)
                    step = batch.step
                self._captured[rows] = batch, step

    def decode(
        self, encoded: Tensor, valid: Tensor, trees: Sequence[PhraseTree | None] = ()
    ) -> list[list[Emission]]:
        """Return the emissions of each row.

        encoded: (B, frames, hidden), projected for the joint network
        valid: (B,), number of frames that are not padding
        trees: phrases to boost in each row, or None; () if no row has any
        A frame emits at most max_symbols_per_step tokens, so decoding ends.
        """
        boost = _PhraseBonus(trees, self._model.config.vocab_size, encoded.device) if any(trees) else None
        batch, step = self._prepare(len(encoded), boost)
        # To look at the device is to wait for it. Steps after the end of all rows emit nothing.
        steps_per_look = 1 if batch.watched else STEPS_PER_LOOK
        batch.start(encoded, valid)
        records: list[Tensor] = []
        while batch.is_live():
            records += batch.repeat(step, encoded, steps_per_look)
        return _emissions(records, len(encoded))

    def _prepare(self, rows: int, boost: "_PhraseBonus | None") -> "tuple[_Batch, Step]":
        """Return the state of a batch, and its step."""
        if boost is not None:  # is fed on the host in each step
            boosted = _Batch(self._model, rows)
            return boosted, lambda: boost.feed(*boosted.step(boost.bonus))
        for most, captured in self._captured.items():
            if rows <= most:
                return captured
        batch = _Batch(self._model, rows)
        return batch, batch.step


class _Batch:
    """Hold the state of a batch in tensors that stay in place, and advance it.

    here: (B, hidden), the encoder's output at the frame of each row
    record: float32 (5, B), of the last step: token, frame, span, log-probability and whether the row emitted
    watched: whether a step looks at the device, which saves the predictor where no row emits
    """

    def __init__(self, model: Any, rows: int, *, watched: bool = True) -> None:
        """Allocate the state of a number of rows without frames."""
        self.watched = watched
        self._config, self._joint = model.config, model.joint
        self._predictor = _Predictor(model.decoder, rows, model.config)
        output = self._predictor.output
        self._durations = torch.tensor(getattr(model.config, "durations", None) or [0], device=output.device)
        self._frame = torch.zeros(rows, dtype=torch.int64, device=output.device)
        self._valid = torch.zeros_like(self._frame)
        self._symbols = torch.zeros_like(self._frame)  # Emitted at the current frame of each row.
        self.here = torch.zeros_like(output)
        self.record = torch.zeros(5, rows, device=output.device)

    def start(self, encoded: Tensor, valid: Tensor) -> None:
        """Begin to decode; encoded, valid: see `TransducerDecoder.decode`, at most as many rows as here."""
        self._frame.zero_()
        self._symbols.zero_()
        self._valid.zero_()
        self._valid[: len(valid)] = valid
        self._predictor.start()

    def is_live(self) -> bool:
        """Return whether a row has frames left."""
        return bool((self._frame < self._valid).any())

    def repeat(self, step: Step, encoded: Tensor, times: int) -> list[Tensor]:
        """Return the record of each step; step: this one's own, or what was captured of it."""
        records: list[Tensor] = []
        for _ in range(times):
            self._read_frames(encoded)
            step()
            records.append(self.record.clone())
        return records

    def _read_frames(self, encoded: Tensor) -> None:
        """Take the frame of each row, before a step."""
        rows, width = encoded.shape[:2]
        index = torch.arange(rows, device=encoded.device), self._frame[:rows].clamp(max=width - 1)
        self.here[:rows] = encoded[index]

    def step(self, bonus: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Emit a token or blank in each row that has frames left.

        bonus: (B, vocabulary), of tokens after phrases; None without
        returns: the tokens (B,), and whether each was emitted (B,)
        """
        vocabulary, blank_id = self._config.vocab_size, self._config.blank_token_id
        live = self._frame < self._valid
        logits = self._joint(
            encoder_hidden_states=self.here, decoder_hidden_states=self._predictor.output
        ).float()
        log_probs = logits[:, :vocabulary].log_softmax(-1)
        log_prob, token = log_probs.max(-1)
        blank = token == blank_id
        if bonus is not None:
            token = (log_probs + bonus).argmax(-1)  # Applies only where the most likely token is not blank.
            log_prob = log_probs.gather(-1, token[:, None])[:, 0]
        is_tdt = len(self._durations) > 1
        span = self._durations[logits[:, vocabulary:].argmax(-1)] if is_tdt else blank.long()
        symbols = (self._symbols + 1).masked_fill(blank, 0)
        stuck = (span == 0) & (blank | (symbols >= self._config.max_symbols_per_step))
        advance = span.masked_fill(stuck, 1)
        emits = live & ~blank
        torch.stack(
            [token.float(), self._frame.float(), span.float(), log_prob, emits.float()], out=self.record
        )
        if not self.watched or bool(emits.any()):
            self._predictor.feed(token, emits)
        self._symbols.copy_(symbols.masked_fill(advance > 0, 0))
        self._frame.add_(advance)
        return token, emits


def _agree(batch: _Batch, step: Step) -> bool:
    """Return whether a captured step emits what the plain step does, on frames of noise."""
    noise = torch.Generator().manual_seed(0)
    rows, width = batch.here.shape
    encoded = torch.randn(rows, CHECKED_FRAMES, width, generator=noise).to(batch.here)
    valid = torch.full((rows,), CHECKED_FRAMES, device=encoded.device)

    def records(of: Step) -> Tensor:
        batch.start(encoded, valid)
        return torch.stack(batch.repeat(of, encoded, 2 * CHECKED_FRAMES))

    return torch.allclose(records(batch.step), records(step), rtol=1e-2, atol=1e-2)


def _emissions(steps: list[Tensor], rows: int) -> list[list[Emission]]:
    """Collect the emissions of each row, in one transfer from the device.

    steps: one tensor per step, (5, B or more): token, frame, span, log-probability and whether the row
        emitted it
    rows: B
    """
    table = torch.stack(steps)[..., :rows].permute(2, 0, 1).tolist() if steps else [[]] * rows
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

    def __init__(self, network: Any, rows: int, config: Any) -> None:
        weights = network.embedding.weight
        shape = (network.lstm.num_layers, rows, network.lstm.hidden_size)
        self._network = network
        self._blanks = torch.full((rows,), config.blank_token_id, device=weights.device)
        self._hidden, self._cell = weights.new_zeros(shape), weights.new_zeros(shape)
        self.output = weights.new_zeros(rows, config.decoder_hidden_size)

    def start(self) -> None:
        """Forget all tokens."""
        self._hidden.zero_()
        self._cell.zero_()
        self.feed(self._blanks, torch.ones_like(self._blanks, dtype=torch.bool))

    def feed(self, tokens: Tensor, emits: Tensor) -> None:
        """Advance the rows that emit by their tokens; tokens, emits: (B,)."""
        mask = emits[:, None]
        for kept, new in zip((self.output, self._hidden, self._cell), self._run(tokens), strict=True):
            kept.copy_(torch.where(mask, new, kept))

    def _run(self, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        state = (self._hidden, self._cell)
        output, (hidden, cell) = self._network.lstm(self._network.embedding(tokens)[:, None], state)
        return self._network.decoder_projector(output)[:, 0], hidden, cell


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
