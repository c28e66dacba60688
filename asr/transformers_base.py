"""Provide what the transformers model families share: checkpoints and padding masks."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoFeatureExtractor, AutoTokenizer

from asr.batch_log_mel import BatchLogMel, batch_log_mel, upload
from asr.errors import ModelUnavailable, UnsupportedModel
from asr.int8_linear import quantize
from asr.row_batches import MIN_SAMPLES, at_least
from audio.clip import SAMPLE_RATE, Clip

# These weights serve training only, and many published checkpoints do not have them.
_NOT_NEEDED: Final = ("masked_spec_embed",)
_BF16_FLAGS: Final = frozenset({"avx512_bf16", "amx_bf16"})
# Other processors add up products of bytes in 16 bits with saturation (oneDNN, "Nuances of int8").
VNNI_FLAGS: Final = frozenset({"avx512_vnni", "avx_vnni", "amx_int8"})
_DTYPES: Final = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
INT8: Final = "int8"


def choose_dtype(device: str, dtype: str = "auto") -> torch.dtype:
    """Return the dtype of the activations for a setting.

    dtype: auto, float32, bfloat16, float16 or int8. auto selects bfloat16 on CUDA and on processors that
        compute in it, and float32 elsewhere. int8 selects the same as auto; only linear layers are quantized
    Raises ValueError for another name, and for int8 on a device that is not a CPU with VNNI.
    """
    if dtype == INT8 and not (device == "cpu" and cpu_has(VNNI_FLAGS)):
        raise ValueError(f"dtype {INT8} needs a CPU with VNNI; {device} is not known to be one")
    if dtype in ("auto", INT8):
        return torch.bfloat16 if device.startswith("cuda") or cpu_has(_BF16_FLAGS) else torch.float32
    if dtype not in _DTYPES:
        raise ValueError(f"dtype {dtype!r} is not one of auto, {', '.join(_DTYPES)}, {INT8}")
    return _DTYPES[dtype]


def cpu_has(flags: frozenset[str]) -> bool:
    """Return whether the processor has one of the flags; False where the kernel does not report them."""
    cpuinfo = Path("/proc/cpuinfo")
    return cpuinfo.exists() and not flags.isdisjoint(cpuinfo.read_text().split())


def model_type(source: str | Path, *, local_files_only: bool = False) -> str:
    """Return the name of the architecture in transformers, such as wav2vec2 or whisper.

    source: a hub id or a folder. Raises ModelUnavailable and UnsupportedModel.
    """
    return str(loaded_by(AutoConfig, source, local_files_only=local_files_only).model_type)


def loaded_by(auto: Any, source: str | Path, **options: Any) -> Any:
    """Return what an Auto… class of transformers loads. Raises ModelUnavailable and UnsupportedModel."""
    try:
        return auto.from_pretrained(source, **options)
    except OSError as error:
        raise ModelUnavailable(f"{source}: {error}") from error
    except (ValueError, KeyError, ImportError) as error:
        raise UnsupportedModel(f"{source}: {error}") from error


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Hold a model on its device with its tokenizer and feature extractor, which transformers leaves untyped.

    dtype: dtype of the activations
    int8: whether the linear layers are quantized to 8-bit integers
    log_mel: computes the model's input on its device; None for a model that takes samples
    """

    model: Any
    tokenizer: Any
    feature_extractor: Any
    device: str
    dtype: torch.dtype
    int8: bool = False
    log_mel: BatchLogMel | None = None

    @classmethod
    def load(
        cls,
        source: str | Path,
        auto: Callable[[str], Any],
        *,
        model_types: frozenset[str],
        device: str,
        dtype: str,
        local_files_only: bool,
    ) -> Self:
        """Load a checkpoint.

        source: a hub id or a folder
        auto: returns the AutoModelFor… class of a model type
        model_types: supported model types
        dtype: see `choose_dtype`
        local_files_only: whether to use the cache only

        Raises ModelUnavailable if files are missing. Raises UnsupportedModel for a type that is not in
        model_types, and if weights are missing: a partly random network would only seem to recognize badly.
        """
        kind = model_type(source, local_files_only=local_files_only)
        if kind not in model_types:
            raise UnsupportedModel(
                f"{source} has the unsupported type {kind}; supported: {', '.join(sorted(model_types))}"
            )
        chosen = choose_dtype(device, dtype)
        local: dict[str, Any] = {"local_files_only": local_files_only}
        model, info = loaded_by(auto(kind), source, dtype=chosen, output_loading_info=True, **local)
        missing = sorted(key for key in info["missing_keys"] if not key.endswith(_NOT_NEEDED))
        if missing:
            raise UnsupportedModel(
                f"{source} has no weights for {', '.join(missing[:3])} ({len(missing)} missing in all)"
            )
        model = model.to(device).eval()
        if dtype == INT8:
            quantize(model)
        extractor = loaded_by(AutoFeatureExtractor, source, **local)
        return cls(
            model=model,
            tokenizer=loaded_by(AutoTokenizer, source, **local),
            feature_extractor=extractor,
            device=device,
            dtype=chosen,
            int8=dtype == INT8,
            log_mel=batch_log_mel(extractor, device),
        )

    @property
    def dtype_name(self) -> str:
        return INT8 if self.int8 else str(self.dtype).removeprefix("torch.")

    def features(
        self, clips: Sequence[Clip], *, width: int | None = None, pad_to_multiple_of: int | None = None
    ) -> dict[str, Tensor]:
        """Return the model's input for some clips.

        input_values (B, samples) or input_features (B, …) have the dtype of the model; attention_mask (B, …)
        is int64, and absent for Whisper, which takes none.
        width: samples of each row of a log-mel model; None for those of the longest clip
        pad_to_multiple_of: divides the samples of each row of a model that takes samples
        """
        rows = [at_least(clip.samples, MIN_SAMPLES) for clip in clips]
        if self.log_mel is not None:
            inputs = self.log_mel(*upload(rows, width or max(map(len, rows)), self.device))
        else:
            inputs = self.feature_extractor(
                rows,
                sampling_rate=SAMPLE_RATE,
                return_attention_mask=True,
                return_tensors="pt",
                padding=True,
                pad_to_multiple_of=pad_to_multiple_of,
            )
        return {
            name: tensor.to(self.device, torch.int64 if name == "attention_mask" else self.dtype)
            for name, tensor in inputs.items()
        }


class MaskedGroupNorm(nn.Module):
    """Normalize groups with statistics of each row's valid frames, so that padding does not change a row.

    The layer follows a convolution over the raw samples (kernel, stride). Set `samples` before each batch.
    """

    def __init__(self, norm: nn.GroupNorm, *, kernel: int, stride: int) -> None:
        super().__init__()
        self.norm = norm
        self.kernel = kernel
        self.stride = stride
        self.samples: Tensor | None = None  # valid samples of each row, (B,)

    def forward(self, hidden: Tensor) -> Tensor:
        """Normalize (B, channels, frames).

        Frames after the end of a row get finite values without meaning.
        """
        if self.samples is None or bool((self.samples == self.samples.max()).all()):
            normed: Tensor = self.norm(hidden)
            return normed
        rows, channels, width = hidden.shape
        frames = (self.samples - self.kernel) // self.stride + 1
        valid = (torch.arange(width, device=hidden.device) < frames[:, None]).view(rows, 1, 1, width)
        grouped = hidden.float().view(rows, self.norm.num_groups, -1, width)
        count = frames.view(rows, 1, 1, 1) * (channels // self.norm.num_groups)
        mean = (grouped * valid).sum((2, 3), keepdim=True) / count
        variance = ((grouped - mean).square() * valid).sum((2, 3), keepdim=True) / count
        flat = ((grouped - mean) * (variance + self.norm.eps).rsqrt()).view(rows, channels, width)
        return (flat * self.norm.weight[:, None] + self.norm.bias[:, None]).to(hidden.dtype)


def mask_group_norms(model: Any, *, kernel: int, stride: int) -> list[MaskedGroupNorm]:
    """Replace every GroupNorm of a model; it has at most one, after the first convolution."""
    masked: list[MaskedGroupNorm] = []
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.GroupNorm):
                masked.append(MaskedGroupNorm(child, kernel=kernel, stride=stride))
                setattr(parent, name, masked[-1])
    return masked
