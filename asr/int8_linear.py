"""Quantize linear layers to 8-bit integers on the CPU, for processors with VNNI instructions.

Weights have one scale per output. Activations get one scale per row at run time, and not one per tensor,
because a row must not depend on the other rows of its batch.
"""

from typing import Any, Final

import torch
from torch import Tensor, nn

MAX_CODE: Final = 127  # -128 is not used, so that the negative of each code is a code.
ZERO_POINT: Final = 128  # The code of 0: oneDNN's kernels take unsigned activations.
# Number of weights from which the quantized layer is faster (measured with AVX-512).
MIN_WEIGHTS: Final = {torch.float32: 0, torch.bfloat16: 2**19}
MIN_PEAK: Final = 1e-12  # Avoids a division by zero for a row of zeros.


class Int8Linear(nn.Module):
    """Compute an nn.Linear in 8-bit integers. It cannot be trained, saved or moved to another device."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        weight = linear.weight.detach().float()
        scale = weight.abs().amax(1).clamp(min=MIN_PEAK) / MAX_CODE
        codes = (weight / scale[:, None]).round().to(torch.int8)
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self._weight = torch.ops.onednn.qlinear_prepack(codes, None)
        self._scale = scale
        self._zeros = torch.zeros(len(scale), dtype=torch.int64)
        self._bias = None if linear.bias is None else linear.bias.detach()

    def forward(self, hidden: Tensor) -> Tensor:
        """Return the layer's output (…, out) for hidden (…, in), float32 or bfloat16."""
        rows = hidden.reshape(-1, self.in_features)
        codes, scale = encode_rows(rows)
        product = self._multiply(codes, hidden.dtype)
        scale = scale.to(hidden.dtype)
        scaled = product.mul_(scale) if self._bias is None else torch.addcmul(self._bias, product, scale)
        return scaled.view(*hidden.shape[:-1], self.out_features)

    def _multiply(self, codes: Tensor, dtype: torch.dtype) -> Tensor:
        """Return the product without the scales of the rows.

        It uses the operator that torch.compile inserts for quantized linear layers.
        """
        product: Any = torch.ops.onednn.qlinear_pointwise(
            *(codes, 1.0, ZERO_POINT),
            *(self._weight, self._scale, self._zeros, None),
            *(1.0, 0, dtype),
            *("none", [], ""),
        )
        found: Tensor = product
        return found


def encode_rows(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Return the codes, uint8 (n, width), and the scales, float32 (n, 1), of rows (n, width).

    rows = (codes - ZERO_POINT) * scales, up to rounding.
    """
    peak = torch.maximum(rows.amax(1, keepdim=True), -rows.amin(1, keepdim=True)).float().clamp_(min=MIN_PEAK)
    codes = (rows * (MAX_CODE / peak)).round_().to(torch.int8)
    return codes.view(torch.uint8).bitwise_xor_(ZERO_POINT), peak / MAX_CODE


def quantize(model: nn.Module) -> None:
    """Replace each nn.Linear that becomes faster. An embedding that shares its weight stays unchanged."""
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if type(child) is nn.Linear and child.weight.numel() >= MIN_WEIGHTS[child.weight.dtype]:
                setattr(parent, name, Int8Linear(child))
