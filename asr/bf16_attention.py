"""Attention as two plain products, for bfloat16 on the CPU.

torch's fused kernel multiplies there in float32, and loses most of all where there is one query: measured at
twice the time over an encoder's frames and up to ten times that of a decoder's step.
"""

from typing import Any, Final

import torch
from torch import Tensor
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

NAME: Final = "products"  # of this attention in transformers
QUERIES: Final = 256  # in a block, whose scores then stay in the processor's cache


def products(
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
    """query (B, heads, n, d), key and value (B, heads, m, d) to (B, n, heads, d).

    attention_mask: (B, 1, n, m), True where a query may look; None for everywhere. Many queries that may not
    look ahead are left to torch's kernel.
    """
    causal = getattr(module, "is_causal", True) if is_causal is None else is_causal
    if causal and query.shape[2] > 1:
        found: tuple[Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, scaling=scaling, is_causal=is_causal, **options
        )
        return found
    key, value = key.contiguous().transpose(2, 3), value.contiguous()
    query = query * (query.shape[-1] ** -0.5 if scaling is None else scaling)
    blocks = []
    for first in range(0, query.shape[2], QUERIES):
        scores = query[:, :, first : first + QUERIES] @ key
        if attention_mask is not None:
            scores.masked_fill_(~attention_mask[:, :, first : first + QUERIES], -torch.inf)
        blocks.append(scores.softmax(-1) @ value)
    return torch.cat(blocks, 2).transpose(1, 2), None


def use_products(model: Any) -> None:
    """In all of a model's attentions; they must go through transformers' interface."""
    AttentionInterface.register(NAME, products)
    AttentionMaskInterface.register(NAME, sdpa_mask)
    model.set_attn_implementation(NAME)
