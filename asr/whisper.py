"""Adapt Whisper (Radford et al. 2022) to Seq2Seq: control tokens, and times from cross-attention."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn
from transformers.modeling_outputs import BaseModelOutput

from asr.alignment import best_heads, token_starts
from asr.greedy_decoder import LogitMasks, Prefix
from asr.languages import choose_language
from asr.recognizer import TranscriptionOptions
from asr.transformers_base import Checkpoint
from asr.whisper_options import ignored_options, prompt_tokens
from asr.windows import WINDOW, AudioContext
from audio.clip import Clip, samples_from_ms

# Frames of 20 ms after the clip in a short context; with fewer the decoder often does not end.
MARGIN_FRAMES: Final = 128
# A short context is rounded up to a multiple of this, so that more clips share a batch. Measured on the CPU,
# larger batches gain more than a closer fit.
ROUNDING_FRAMES: Final = 512
# One clip occupies the processor fully, and several would not fit into its cache.
CPU_ENCODER_ROWS: Final = 1

_NO_SPEECH: Final = ("<|nospeech|>", "<|nocaptions|>")  # Older vocabularies have the second.


class Whisper:
    """Adapt Whisper checkpoints.

    The prefix consists of prompt, start, language, task and "no timestamps". English-only models have no
    language and no task.
    """

    min_fill = 1.0
    full_context = WINDOW

    def __init__(self, checkpoint: Checkpoint, audio_context: AudioContext = "full") -> None:
        config, generation = checkpoint.model.config, checkpoint.model.generation_config
        self._checkpoint = checkpoint
        self._model = checkpoint.model
        self._by_language: dict[str, int] = {
            name.strip("<|>"): token
            for name, token in (getattr(generation, "lang_to_id", None) or {}).items()
        }
        self.languages = tuple(self._by_language) or ("en",)
        alignment = best_heads(getattr(generation, "alignment_heads", None) or ())
        self._heads = alignment.heads
        self.has_times = bool(self._heads)
        self._delay = samples_from_ms(alignment.delay_ms)
        self.positions: int = config.max_target_positions
        self._short = audio_context == "short"
        self._samples_per_frame: int = WINDOW // config.max_source_positions
        vocabulary = checkpoint.tokenizer.get_vocab()
        self.no_speech: int | None = next(
            (vocabulary[name] for name in _NO_SPEECH if name in vocabulary), None
        )
        end: int = checkpoint.tokenizer.eos_token_id
        # All ids after the one that ends the text are control and timestamp tokens.
        never = [*(generation.suppress_tokens or ()), *range(end + 1, config.vocab_size)]
        not_first = generation.begin_suppress_tokens or ()
        self.masks = LogitMasks.of(checkpoint, never=never, not_first=not_first, end=end)

    def row_samples(self, clip: Clip) -> int:
        if not self._short:
            return WINDOW
        frames = -(-len(clip.samples) // self._samples_per_frame) + MARGIN_FRAMES
        return min(WINDOW, -(-frames // ROUNDING_FRAMES) * ROUNDING_FRAMES * self._samples_per_frame)

    def ignored(self, options: TranscriptionOptions) -> tuple[str, ...]:
        return ignored_options(
            options, self.languages, has_times=self.has_times, translates=bool(self._by_language)
        )

    def encode(self, clips: Sequence[Clip], samples: int) -> Any:
        mel = self._checkpoint.features(clips, width=samples)["input_features"]
        rows = CPU_ENCODER_ROWS if self._checkpoint.device == "cpu" else len(mel)
        hidden = [run_encoder(self._model.get_encoder(), part) for part in torch.split(mel, rows)]
        return BaseModelOutput(last_hidden_state=torch.cat(hidden))

    def prompt(self, options: TranscriptionOptions) -> tuple[int, ...]:
        ids = prompt_tokens(self._text_tokens, options, self.positions)
        return (self._id("<|startofprev|>"), *ids) if ids else ()

    def _text_tokens(self, text: str) -> list[int]:
        """Return the tokens of a text without control tokens that a client may have written in it."""
        if not text.strip():
            return []
        ids = self._checkpoint.tokenizer.encode(" " + text.strip(), add_special_tokens=False)
        return [token for token in ids if token < self.masks.end]

    def prefixes(
        self, encoded: Any, options: Sequence[TranscriptionOptions], likely: Sequence[str | None]
    ) -> list[Prefix]:
        start, no_timestamps = self._id("<|startoftranscript|>"), self._id("<|notimestamps|>")
        prompts = [self.prompt(each) for each in options]
        if not self._by_language:
            return [Prefix([*prompt, start, no_timestamps], len(prompt), "en") for prompt in prompts]
        languages = self._languages(encoded, options, likely)
        tasks = [self._id(f"<|{each.task}|>") for each in options]
        return [
            Prefix(
                [*prompt, start, self._by_language[language], task, no_timestamps],
                len(prompt),
                language,
                probability,
            )
            for prompt, (language, probability), task in zip(prompts, languages, tasks, strict=True)
        ]

    def _languages(
        self, encoded: Any, options: Sequence[TranscriptionOptions], likely: Sequence[str | None]
    ) -> list[tuple[str, float | None]]:
        """Return the language of each row, with its probability if it was detected.

        The language of a row is detected if none, or an unknown one, is requested. See `choose_language`.
        """
        requested = [each.language for each in options]
        known = [language for language in requested if language in self._by_language]
        if len(known) == len(requested):
            return [(language, None) for language in known if language]
        start = torch.full(
            (len(requested), 1), self._id("<|startoftranscript|>"), device=self._checkpoint.device
        )
        logits = self._model(decoder_input_ids=start, encoder_outputs=encoded).logits[:, -1].float()
        detected = logits[:, list(self._by_language.values())].softmax(-1).tolist()
        return [
            (language, None)
            if language in self._by_language and language
            else choose_language(dict(zip(self.languages, row, strict=True)), before, each.languages)
            for language, row, before, each in zip(requested, detected, likely, options, strict=True)
        ]

    def starts(self, encoded: Any, row: int, clip: Clip, prefix: Prefix, ids: Sequence[int]) -> list[int]:
        """Return the times of the tokens from cross-attention.

        The query at a token attends to the audio of the next token, so the last token of the prefix gives the
        time of the first one.
        """

        def run() -> None:
            self._model(
                decoder_input_ids=torch.tensor([[*prefix.ids, *ids]], device=self._checkpoint.device),
                encoder_outputs=BaseModelOutput(last_hidden_state=encoded.last_hidden_state[row : row + 1]),
                use_cache=False,
            )

        frames = max(1, -(-len(clip.samples) // self._samples_per_frame))
        scores = _attention_scores(self._model.model.decoder, self._heads, run)
        attention = scores[:, len(prefix.ids) - 1 :, :frames].softmax(-1)
        first = token_starts(attention.cpu().numpy())
        starts = clip.start - self._delay + first * self._samples_per_frame
        times: list[int] = np.clip(starts, clip.start, clip.end).tolist()
        return times

    def _id(self, token: str) -> int:
        found: int = self._checkpoint.tokenizer.convert_tokens_to_ids(token)
        return found


def run_encoder(encoder: Any, mel: Tensor) -> Tensor:
    """Return the encoder's output (B, n, hidden) for mel frames (B, bins, 2n).

    The encoder's own forward method rejects less than 30 s.
    """
    hidden = nn.functional.gelu(encoder.conv1(mel))
    hidden = nn.functional.gelu(encoder.conv2(hidden)).transpose(1, 2)
    hidden = hidden + encoder.embed_positions.weight[: hidden.shape[1]]
    for layer in encoder.layers:
        hidden = layer(hidden, None)
    normed: Tensor = encoder.layer_norm(hidden)
    return normed


def _attention_scores(decoder: Any, heads: Sequence[tuple[int, int]], run: Callable[[], object]) -> Tensor:
    """Return the scores of some cross-attention heads in a run of one row: (heads, tokens, frames).

    heads: pairs of layer and head
    run: runs the decoder
    The option of transformers for this would use slow attention in the whole model and keep every head.
    """
    kept: dict[Any, Tensor] = {}

    def keep(module: Any, _: Any, output: Tensor) -> None:
        kept[module] = output[0].float()

    attentions = {layer: decoder.layers[layer].encoder_attn for layer, _ in heads}
    with ExitStack() as hooks:
        for attention in attentions.values():
            for projection in (attention.q_proj, attention.k_proj):
                hooks.callback(projection.register_forward_hook(keep).remove)
        run()

    def scores(layer: int, head: int) -> Tensor:
        attention = attentions[layer]
        part = slice(head * attention.head_dim, (head + 1) * attention.head_dim)
        product: Tensor = (
            kept[attention.q_proj][:, part] @ kept[attention.k_proj][:, part].T * attention.scaling
        )
        return product

    return torch.stack([scores(layer, head) for layer, head in heads])
