"""Compute attention as two matrix products, for bfloat16 on the CPU.

There torch's fused kernel multiplies in float32. It was measured at twice the time over the frames of an
encoder and at up to ten times the time of one decoder step, where there is a single query.
"""

from typing import Any, Final

import torch
from torch import Tensor
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

ATTENTION_NAME: Final = "products"  # The name of this attention in transformers.
QUERY_BLOCK: Final = 256  # Queries per block; the scores of a block fit into the processor's cache.


def matmul_attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    scaling: float | None = None,
    is_causal: bool | None = None,
    **options: Any,
) -> tuple[Tensor, None]:
    """Return the attention output (B, n, heads, d), and None in place of the attention weights.

    query: (B, heads, n, d); key, value: (B, heads, m, d)
    attention_mask: bool (B, 1, n, m), True where a query may attend; None for everywhere
    Causal attention with several queries is left to torch's kernel.
    """
    causal = getattr(module, "is_causal", True) if is_causal is None else is_causal
    if causal and query.shape[2] > 1:
        output: tuple[Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, scaling=scaling, is_causal=is_causal, **options
        )
        return output
    key, value = key.contiguous().transpose(2, 3), value.contiguous()
    query = query * (query.shape[-1] ** -0.5 if scaling is None else scaling)
    blocks = []
    for first in range(0, query.shape[2], QUERY_BLOCK):
        scores = query[:, :, first : first + QUERY_BLOCK] @ key
        if attention_mask is not None:
            scores.masked_fill_(~attention_mask[:, :, first : first + QUERY_BLOCK], -torch.inf)
        blocks.append(scores.softmax(-1) @ value)
    return torch.cat(blocks, 2).transpose(1, 2), None


def use_matmul_attention(model: Any) -> None:
    """Use matmul_attention in all attention layers of a model that goes through transformers' interface."""
    AttentionInterface.register(ATTENTION_NAME, matmul_attention)
    AttentionMaskInterface.register(ATTENTION_NAME, sdpa_mask)
    model.set_attn_implementation(ATTENTION_NAME)
