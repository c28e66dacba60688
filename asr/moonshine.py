"""Moonshine (Jeffries et al. 2024): raw samples of any length in, no control tokens, no times."""

import math
from collections.abc import Sequence
from typing import Any

import torch

from asr.greedy_decoder import LogitMasks, Prefix
from asr.recognizer import TranscriptionOptions
from asr.transformers_base import Checkpoint, mask_group_norms, padded_length
from audio.clip import Clip


class Moonshine:
    """Trained for one language each, which nothing in the checkpoint tells: none is claimed."""

    languages: tuple[str, ...] = ()
    min_fill = 0.5
    longest = 0
    times = False
    no_speech: int | None = None

    def __init__(self, checkpoint: Checkpoint) -> None:
        config = checkpoint.model.config
        self._checkpoint = checkpoint
        self._encoder = checkpoint.model.get_encoder()
        opening = checkpoint.model.generation_config.decoder_start_token_id
        self._opening: int = config.bos_token_id if opening is None else opening
        self.positions: int = config.max_position_embeddings - 1
        end: int = config.eos_token_id
        never = [
            token
            for token in checkpoint.tokenizer.all_special_ids
            if token != end and token < config.vocab_size
        ]
        self.penalties = LogitMasks.of(checkpoint, never=never, not_first=(), end=end)
        self._prepare()

    def _prepare(self) -> None:
        convolutions = (self._encoder.conv1, self._encoder.conv2, self._encoder.conv3)
        self._stem = [(each.kernel_size[0], each.stride[0]) for each in convolutions]
        self._samples_per_frame = math.prod(stride for _, stride in self._stem)
        kernel, stride = self._stem[0]
        self._norms = mask_group_norms(self._encoder, kernel=kernel, stride=stride)

    def row_samples(self, clip: Clip) -> int:
        return padded_length(clip)

    def ignored(self, options: TranscriptionOptions) -> tuple[str, ...]:
        return options.beyond({"temperature"})

    def encode(self, clips: Sequence[Clip], samples: int) -> Any:
        """The encoder looks at its mask where a frame begins: frames that end in the padding would pass."""
        features = self._checkpoint.features(clips)
        valid = features["attention_mask"].sum(-1)
        for norm in self._norms:
            norm.samples = valid
        frames = valid
        for kernel, stride in self._stem:
            frames = (frames - kernel) // stride + 1
        places = torch.arange(features["attention_mask"].shape[1], device=valid.device)
        mask = places < ((frames - 1) * self._samples_per_frame + 1)[:, None]
        return self._encoder(features["input_values"], attention_mask=mask.long())

    def prompt(self, options: TranscriptionOptions) -> tuple[int, ...]:
        return ()

    def prefixes(self, encoded: Any, options: Sequence[TranscriptionOptions]) -> list[Prefix]:
        return [Prefix([self._opening]) for _ in options]

    def starts(self, encoded: Any, row: int, clip: Clip, prefix: Prefix, ids: Sequence[int]) -> list[int]:
        return []


class MoonshineStreaming(Moonshine):
    """Its convolutions widen the mask into the padding (transformers 5.23): only equal lengths share a batch.

    Without a mask its encoder forgets its sliding windows: it always gets one.
    """

    min_fill = 1.0

    def _prepare(self) -> None:
        encoder = self._checkpoint.model.config.encoder_config
        self._frame = round(encoder.sample_rate * encoder.frame_ms / 1000)

    def encode(self, clips: Sequence[Clip], samples: int) -> Any:
        features = self._checkpoint.features(clips, pad_to_multiple_of=self._frame)
        return self._encoder(features["input_values"], attention_mask=features["attention_mask"])
