"""Whisper (Radford et al. 2022): always 30 s of mel features, control tokens, times from cross-attention."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor
from transformers.modeling_outputs import BaseModelOutput

from asr.alignment import token_starts
from asr.decoder import WINDOW, Penalties, Prefix
from asr.hypothesis import Options
from asr.pretrained import Checkpoint
from audio.clip import Clip


class Whisper:
    """The prefix is prompt, start, language, task, no timestamps. English-only models lack the middle two."""

    min_fill = 1.0

    def __init__(self, checkpoint: Checkpoint) -> None:
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
        self._samples_per_frame = WINDOW // config.max_source_positions
        end: int = checkpoint.tokenizer.eos_token_id
        # Behind the id that ends the text stand the control and timestamp tokens, and nothing else.
        never = [*(generation.suppress_tokens or ()), *range(end + 1, config.vocab_size)]
        not_first = generation.begin_suppress_tokens or ()
        self.penalties = Penalties.of(checkpoint, never=never, not_first=not_first, end=end)

    def row_samples(self, clip: Clip) -> int:
        return WINDOW

    def encode(self, clips: Sequence[Clip]) -> Any:
        features = self._checkpoint.features(clips, padding="max_length")
        return self._model.get_encoder()(features["input_features"])

    def prompt(self, options: Options) -> tuple[int, ...]:
        """Its end, as far as it fits half the context. Control tokens spelled by a client are dropped."""
        if not options.prompt or not options.prompt.strip():
            return ()
        ids = self._checkpoint.tokenizer.encode(" " + options.prompt.strip(), add_special_tokens=False)
        plain = [token for token in ids if token < self.penalties.end]
        return (self._id("<|startofprev|>"), *plain[-(self.positions // 2 - 1) :])

    def prefixes(self, encoded: Any, options: Sequence[Options]) -> list[Prefix]:
        start, no_timestamps = self._id("<|startoftranscript|>"), self._id("<|notimestamps|>")
        prompts = [self.prompt(each) for each in options]
        if not self._by_language:
            return [Prefix([*prompt, start, no_timestamps], "en") for prompt in prompts]
        task = self._id("<|transcribe|>")
        languages = self._languages(encoded, [each.language for each in options])
        return [
            Prefix([*prompt, start, self._by_language[language], task, no_timestamps], language)
            for prompt, language in zip(prompts, languages, strict=True)
        ]

    def _languages(self, encoded: Any, asked: list[str | None]) -> list[str]:
        """The languages asked for; where none is, or one that the model does not know, the likeliest."""
        known = [language for language in asked if language in self._by_language]
        if len(known) == len(asked):
            return [language for language in known if language]
        start = torch.full((len(asked), 1), self._id("<|startoftranscript|>"), device=self._checkpoint.device)
        logits = self._model(decoder_input_ids=start, encoder_outputs=encoded).logits[:, -1]
        likeliest = logits[:, list(self._by_language.values())].argmax(-1).tolist()
        return [
            language if language and language in self._by_language else self.languages[best]
            for language, best in zip(asked, likeliest, strict=True)
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
