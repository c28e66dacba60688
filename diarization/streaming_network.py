"""Find speakers with Nemotron 3 Diarization, a streaming Sortformer of transformers, step by step.

Up to eight speakers, numbered as they first speak; it needs no clustering. A step sees the frames of all
speakers so far (the arrival-order speaker cache), the last frames, and 3.2 s after it. The steps have the
sizes with which the model hears a whole recording, so the result is the same (Park et al., "Sortformer",
2024; Medennikov et al., "Streaming Sortformer", 2025).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Self

import torch
from torch import Tensor
from transformers import AutoFeatureExtractor, AutoModelForAudioFrameClassification
from transformers.models.nemotron3_diarization.modeling_nemotron3_diarization import (
    Nemotron3DiarizationSpeakerCache,
)

from asr import model_hub
from asr.errors import UnsupportedModel
from asr.transformers_base import choose_dtype, loaded_by, model_type
from audio.clip import SAMPLE_RATE
from diarization.steps import (
    AHEAD_GROUPS,
    FRAME_SAMPLES,
    GROUP_FRAMES,
    MARGIN_SAMPLES,
    STEP_GROUPS,
    STEP_SPEAKERS,
    Step,
    StepSpeakers,
    StepState,
)

MODEL_TYPE: Final = "nemotron3_diarization"
THRESHOLD: Final = 0.5  # probability from which on a speaker speaks

_Key = tuple[int, int, bool, int, int, bool]


class StreamingNetwork:
    """Run steps of recordings. Not to be called from two threads at a time.

    model, extractor: of transformers, which leaves them untyped

    Raises UnsupportedModel if the model hears other steps than those of diarization.steps.
    """

    def __init__(self, model: Any, extractor: Any) -> None:
        config = model.config
        sizes = {
            "chunk_length": (config.chunk_length, STEP_GROUPS),
            "chunk_right_context": (config.chunk_right_context, AHEAD_GROUPS),
            "chunk_left_context": (config.chunk_left_context, 0),
            "subsampling_factor": (config.audio_config.subsampling_factor, GROUP_FRAMES),
            "num_speakers": (config.head_config.num_speakers, STEP_SPEAKERS),
            "hop_length": (extractor.hop_length, FRAME_SAMPLES),
            "n_fft": (extractor.n_fft, 2 * MARGIN_SAMPLES),
        }
        wrong = [f"{name} {size}" for name, (size, expected) in sizes.items() if size != expected]
        if wrong:
            raise UnsupportedModel(f"the speaker model has sizes that are not supported: {', '.join(wrong)}")
        self._model = model
        self._extractor = extractor

    @classmethod
    def load(cls, source: str, *, device: str = "cpu", dtype: str = "auto", hub_timeout: float = 3.0) -> Self:
        """Load a model.

        source: a folder, or an id of the hub, which is downloaded unless the cache has it
        device, dtype: as in Checkpoint.load

        Raises ModelUnavailable and UnsupportedModel.
        """
        folder = Path(source).expanduser()
        if not folder.is_dir():
            folder = model_hub.cached_snapshot(source) or model_hub.download(source, hub_timeout)
        kind = model_type(folder, local_files_only=True)
        if kind != MODEL_TYPE:
            raise UnsupportedModel(f"{source} has the unsupported type {kind}; supported: {MODEL_TYPE}")
        model, info = loaded_by(
            AutoModelForAudioFrameClassification,
            folder,
            dtype=choose_dtype(device, dtype),
            output_loading_info=True,
            local_files_only=True,
        )
        if info["missing_keys"]:
            missing = ", ".join(sorted(info["missing_keys"])[:3])
            raise UnsupportedModel(f"{source} has no weights for {missing}")
        return cls(model.to(device).eval(), loaded_by(AutoFeatureExtractor, folder, local_files_only=True))

    @torch.inference_mode()
    def run(self, steps: Sequence[Step]) -> list[StepSpeakers]:
        """Return the speakers of each step, in order; a step does not depend on the others.

        Steps of equal sizes share a forward pass.
        """
        results: dict[int, StepSpeakers] = {}
        groups: dict[_Key, list[int]] = {}
        for number, step in enumerate(steps):
            groups.setdefault(_key(step), []).append(number)
        for numbers in groups.values():
            found = self._run([steps[number] for number in numbers])
            results.update(zip(numbers, found, strict=True))
        return [results[number] for number in range(len(steps))]

    def _run(self, steps: Sequence[Step]) -> list[StepSpeakers]:
        features = self._extractor(
            [step.samples for step in steps],
            sampling_rate=SAMPLE_RATE,
            center=False,
            is_last_audio_chunk=steps[0].is_end,
            return_tensors="pt",
        )
        frames = int(features["attention_mask"][0].sum())
        output = self._model(
            input_features=features["input_features"][:, :frames].to(self._model.device, self._model.dtype),
            speaker_cache=self._cache([step.state for step in steps]),
            num_lookahead_frames=steps[0].ahead,
        )
        active = (output.logits.float().sigmoid() > THRESHOLD).cpu().numpy()
        states = _states(output.speaker_cache)
        return [StepSpeakers(own, state) for own, state in zip(active, states, strict=True)]

    def _cache(self, states: Sequence[StepState | None]) -> Nemotron3DiarizationSpeakerCache:
        config = self._model.config
        cache = Nemotron3DiarizationSpeakerCache(
            config.streaming_config, config.fifo_length, config.speaker_cache_update_period
        )
        known = [state for state in states if state is not None]
        if known:
            cache.lazy_initialization(self._rows([state.recent for state in known]))
            for name in ("voices", "activity", "recent"):
                rows = self._rows([getattr(state, name) for state in known])
                getattr(cache, _FIELDS[name])[:, : rows.shape[1]] = rows
            cache.num_cache_frames = len(known[0].voices)
            cache.num_fifo_frames = len(known[0].recent)
            cache.is_compressed = known[0].compressed
        return cache

    def _rows(self, arrays: Sequence[Any]) -> Tensor:
        rows = torch.stack([torch.from_numpy(array) for array in arrays])
        return rows.to(self._model.device, self._model.dtype)


_FIELDS: Final = {"voices": "embeds", "activity": "probs", "recent": "fifo"}


def _states(cache: Any) -> list[StepState]:
    """Return the state of each row of a batch."""
    voices = cache.embeds[:, : cache.num_cache_frames].float().cpu().numpy()
    activity = cache.probs[:, : cache.num_cache_frames].float().cpu().numpy()
    recent = cache.fifo[:, : cache.num_fifo_frames].float().cpu().numpy()
    return [StepState(*row, cache.is_compressed) for row in zip(voices, activity, recent, strict=True)]


def _key(step: Step) -> _Key:
    """Return what steps of one forward pass have in common."""
    state = step.state
    sizes = (0, 0, False) if state is None else (len(state.voices), len(state.recent), state.compressed)
    return (len(step.samples), step.ahead, step.is_end, *sizes)
