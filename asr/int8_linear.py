"""Linear layers in 8-bit integers on the CPU, for processors that multiply them four at a time (VNNI).

Weights keep a scale for each output. Activations get theirs for each row while they pass, and not for each
tensor: a row must not depend on those that share its batch.
"""

from typing import Any, Final

import torch
from torch import Tensor, nn

PEAK: Final = 127  # the largest code; -128 is left out, so that a code's negative is one as well
CENTRE: Final = 128  # oneDNN's kernels want activations without a sign: 0 is stored as this
# Weights of a layer from which this is faster than the layer as it was (measured with AVX-512).
LEAST: Final = {torch.float32: 0, torch.bfloat16: 2**19}
TINY: Final = 1e-12  # of a row of zeros


class Int8Linear(nn.Module):
    """What an nn.Linear computes, but for rounding. Not to be trained, saved or moved to another device."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        weight = linear.weight.detach().float()
        scale = weight.abs().amax(1).clamp(min=TINY) / PEAK
        codes = (weight / scale[:, None]).round().to(torch.int8)
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self._weight = torch.ops.onednn.qlinear_prepack(codes, None)
        self._scale = scale
        self._zeros = torch.zeros(len(scale), dtype=torch.int64)
        self._bias = None if linear.bias is None else linear.bias.detach()

    def forward(self, hidden: Tensor) -> Tensor:
        """(…, in) to (…, out), float32 or bfloat16."""
        rows = hidden.reshape(-1, self.in_features)
        codes, scale = encode_rows(rows)
        product = self._multiply(codes, hidden.dtype)
        scale = scale.to(hidden.dtype)
        scaled = product.mul_(scale) if self._bias is None else torch.addcmul(self._bias, product, scale)
        return scaled.view(*hidden.shape[:-1], self.out_features)

    def _multiply(self, codes: Tensor, dtype: torch.dtype) -> Tensor:
        """The product in real numbers, but for the rows' scale; by the op that torch.compile puts here."""
        product: Any = torch.ops.onednn.qlinear_pointwise(
            *(codes, 1.0, CENTRE),
            *(self._weight, self._scale, self._zeros, None),
            *(1.0, 0, dtype),
            *("none", [], ""),
        )
        found: Tensor = product
        return found


def encode_rows(rows: Tensor) -> tuple[Tensor, Tensor]:
    """(n, width) to codes, uint8 (n, width), and scales, float32 (n, 1): rows = (codes - CENTRE) * scales."""
    peak = torch.maximum(rows.amax(1, keepdim=True), -rows.amin(1, keepdim=True)).float().clamp_(min=TINY)
    codes = (rows * (PEAK / peak)).round_().to(torch.int8)
    return codes.view(torch.uint8).bitwise_xor_(CENTRE), peak / PEAK


def quantize(model: nn.Module) -> None:
    """Replaces each nn.Linear that gains. An embedding that shares its weight keeps it as it was."""
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if type(child) is nn.Linear and child.weight.numel() >= LEAST[child.weight.dtype]:
                setattr(parent, name, Int8Linear(child))
