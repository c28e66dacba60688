"""Whisper (Radford et al. 2022): 30 s of mel features, control tokens, times from cross-attention."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any, Final, Literal

import torch
from torch import Tensor, nn
from transformers.modeling_outputs import BaseModelOutput

from asr.alignment import token_starts
from asr.greedy_decoder import WINDOW, LogitMasks, Prefix
from asr.recognizer import TranscriptionOptions
from asr.transformers_base import Checkpoint
from audio.clip import Clip

# full: the encoder runs over 30 s, as it was trained; short: over little more than the clip.
AudioContext = Literal["full", "short"]

SLACK: Final = 128  # frames of 20 ms behind the clip; with less the decoder often runs on
ROUND_UP_TO: Final = 512  # frames: clips that share a batch gain more than a closer fit (measured on the CPU)
# Clips that the encoder takes at once: alone they fill the processor, and more would not fit its cache.
ROWS_ON_CPU: Final = 1

_NO_SPEECH: Final = ("<|nospeech|>", "<|nocaptions|>")  # the older vocabularies have the second


class Whisper:
    """The prefix is prompt, start, language, task, no timestamps. English-only models lack the middle two."""

    min_fill = 1.0
    longest = WINDOW

    def __init__(self, checkpoint: Checkpoint, audio_context: AudioContext = "full") -> None:
        config, generation = checkpoint.model.config, checkpoint.model.generation_config
        self._checkpoint = checkpoint
        self._model = checkpoint.model
        self._by_language: dict[str, int] = {
            name.strip("<|>"): token
            for name, token in (getattr(generation, "lang_to_id", None) or {}).items()
        }
        self.languages = tuple(self._by_language) or ("en",)
        self._heads: list[tuple[int, int]] = [
            (layer, head) for layer, head in getattr(generation, "alignment_heads", None) or []
        ]
        self.times = bool(self._heads)
        self.positions: int = config.max_target_positions
        self._short = audio_context == "short"
        self._samples_per_frame: int = WINDOW // config.max_source_positions
        vocabulary = checkpoint.tokenizer.get_vocab()
        self.no_speech: int | None = next(
            (vocabulary[name] for name in _NO_SPEECH if name in vocabulary), None
        )
        end: int = checkpoint.tokenizer.eos_token_id
        # Behind the id that ends the text stand the control and timestamp tokens, and nothing else.
        never = [*(generation.suppress_tokens or ()), *range(end + 1, config.vocab_size)]
        not_first = generation.begin_suppress_tokens or ()
        self.penalties = LogitMasks.of(checkpoint, never=never, not_first=not_first, end=end)

    def row_samples(self, clip: Clip) -> int:
        if not self._short:
            return WINDOW
        frames = -(-len(clip.samples) // self._samples_per_frame) + SLACK
        return min(WINDOW, -(-frames // ROUND_UP_TO) * ROUND_UP_TO * self._samples_per_frame)

    def ignored(self, options: TranscriptionOptions) -> tuple[str, ...]:
        honoured = {"prompt", "hotwords", "temperature"}
        if self.times:
            honoured.add("words")
        if self._by_language:
            honoured.add("task")
        if options.language in self.languages:
            honoured.add("language")
        return options.beyond(honoured)

    def encode(self, clips: Sequence[Clip], samples: int) -> Any:
        features = self._checkpoint.features(clips, padding="max_length", max_length=samples)
        mel = features["input_features"]
        rows = ROWS_ON_CPU if self._checkpoint.device == "cpu" else len(mel)
        hidden = [run_encoder(self._model.get_encoder(), part) for part in torch.split(mel, rows)]
        return BaseModelOutput(last_hidden_state=torch.cat(hidden))

    def prompt(self, options: TranscriptionOptions) -> tuple[int, ...]:
        """Hotwords, then the prompt's end: half the context at most, a quarter for the hotwords."""
        room = self.positions // 2 - 1
        hot = self._plain(", ".join(options.hotwords))[: room // 2]
        before = self._plain(options.prompt or "")
        ids = [*hot, *before[max(0, len(before) - room + len(hot)) :]]
        return (self._id("<|startofprev|>"), *ids) if ids else ()

    def _plain(self, text: str) -> list[int]:
        """Control tokens spelled by a client are dropped."""
        if not text.strip():
            return []
        ids = self._checkpoint.tokenizer.encode(" " + text.strip(), add_special_tokens=False)
        return [token for token in ids if token < self.penalties.end]

    def prefixes(self, encoded: Any, options: Sequence[TranscriptionOptions]) -> list[Prefix]:
        start, no_timestamps = self._id("<|startoftranscript|>"), self._id("<|notimestamps|>")
        prompts = [self.prompt(each) for each in options]
        if not self._by_language:
            return [Prefix([*prompt, start, no_timestamps], len(prompt), "en") for prompt in prompts]
        languages = self._languages(encoded, [each.language for each in options])
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

    def _languages(self, encoded: Any, asked: list[str | None]) -> list[tuple[str, float | None]]:
        """The languages asked for; where none is, or an unknown one, the likeliest and its probability."""
        known = [language for language in asked if language in self._by_language]
        if len(known) == len(asked):
            return [(language, None) for language in known if language]
        start = torch.full((len(asked), 1), self._id("<|startoftranscript|>"), device=self._checkpoint.device)
        logits = self._model(decoder_input_ids=start, encoder_outputs=encoded).logits[:, -1].float()
        best = logits[:, list(self._by_language.values())].softmax(-1).max(-1)
        return [
            (language, None) if language in self._by_language else (self.languages[place], probability)
            for language, place, probability in zip(
                asked, best.indices.tolist(), best.values.tolist(), strict=True
            )
        ]

    def starts(self, encoded: Any, row: int, clip: Clip, prefix: Prefix, ids: Sequence[int]) -> list[int]:
        """The query at a token attends to the sound of the next one: the prefix's last token to the first."""

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
        return [min(clip.start + int(frame) * self._samples_per_frame, clip.end) for frame in first]

    def _id(self, token: str) -> int:
        found: int = self._checkpoint.tokenizer.convert_tokens_to_ids(token)
        return found


def run_encoder(encoder: Any, mel: Tensor) -> Tensor:
    """Mel frames (B, bins, 2n) to (B, n, hidden): the encoder's own forward refuses less than 30 s."""
    hidden = nn.functional.gelu(encoder.conv1(mel))
    hidden = nn.functional.gelu(encoder.conv2(hidden)).transpose(1, 2)
    hidden = hidden + encoder.embed_positions.weight[: hidden.shape[1]]
    for layer in encoder.layers:
        hidden = layer(hidden, None)
    normed: Tensor = encoder.layer_norm(hidden)
    return normed


def _attention_scores(decoder: Any, heads: Sequence[tuple[int, int]], run: Callable[[], object]) -> Tensor:
    """The scores of some cross-attentions, (layer, head), during a run of one row: (heads, tokens, frames).

    Asking transformers for them would switch the whole model to its slow attention, and keep every head.
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
