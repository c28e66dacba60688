"""Adapt Moonshine (Jeffries et al. 2024) to Seq2Seq: raw samples, no control tokens and no times."""

import math
from collections.abc import Sequence
from typing import Any

import torch

from asr.greedy_decoder import LogitMasks, Prefix
from asr.recognizer import TranscriptionOptions
from asr.row_batches import padded_length
from asr.transformers_base import Checkpoint, mask_group_norms
from audio.clip import Clip


class Moonshine:
    """Adapt Moonshine checkpoints.

    Each is trained for one language, which the checkpoint does not name, so `languages` is empty.
    """

    languages: tuple[str, ...] = ()
    min_fill = 0.5
    full_context = 0
    has_times = False
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
        self.masks = LogitMasks.of(checkpoint, never=never, not_first=(), end=end)
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
        return options.unsupported({"temperature"})

    def encode(self, clips: Sequence[Clip], samples: int) -> Any:
        """Encode clips with a mask that excludes every frame that reaches into the padding.

        The encoder reads its mask at the start of a frame, so a mask of the valid samples would let such
        frames pass.
        """
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

    def prefixes(
        self, encoded: Any, options: Sequence[TranscriptionOptions], likely: Sequence[str | None]
    ) -> list[Prefix]:
        return [Prefix([self._opening]) for _ in options]

    def starts(self, encoded: Any, row: int, clip: Clip, prefix: Prefix, ids: Sequence[int]) -> list[int]:
        return []


class MoonshineStreaming(Moonshine):
    """Adapt streaming Moonshine checkpoints.

    The convolutions extend the mask into the padding (transformers 5.23), so only clips of equal length share
    a batch. Without a mask the encoder ignores its sliding windows, so it always gets one.
    """

    min_fill = 1.0

    def _prepare(self) -> None:
        encoder = self._checkpoint.model.config.encoder_config
        self._frame = round(encoder.sample_rate * encoder.frame_ms / 1000)

    def encode(self, clips: Sequence[Clip], samples: int) -> Any:
        features = self._checkpoint.features(clips, pad_to_multiple_of=self._frame)
        return self._encoder(features["input_values"], attention_mask=features["attention_mask"])
