"""Frozen linear layers on a CPU, multiplied by oneDNN.

On a CPU, torch multiplies float32 matrices with MKL, which does not use AVX-512 on AMD's processors: on two Zen 5 cores
it reached 170 GFLOP/s, and oneDNN, which torch ships for its compiler, 420. Frozen weights are packed into oneDNN's
layout once. Results differ from torch's own by rounding only.
"""

import platform

import torch
import torch.nn.functional as F
from torch import nn


def can_pack(device: torch.device) -> bool:
    """Whether layers on this device can be packed: it needs an x86 CPU, and a torch with oneDNN and its operators."""
    x86 = platform.machine().lower() in ("x86_64", "amd64")
    operators = all(hasattr(torch.ops.mkldnn, name) for name in ("_reorder_linear_weight", "_linear_pointwise"))
    return device.type == "cpu" and x86 and torch.backends.mkldnn.is_available() and operators


class PackedLinear(nn.Module):
    """`nn.Linear` in float32 without gradients: (..., i) -> (..., o).

    Attributes:
        weight: (o, i) in oneDNN's own layout, of which only type and shape can be read.
        bias: (o,), or None.
    """

    weight: torch.Tensor
    bias: torch.Tensor | None

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None):
        super().__init__()
        packed = torch.ops.mkldnn._reorder_linear_weight(weight.detach())
        self.register_buffer("weight", packed, persistent=False)
        self.register_buffer("bias", None if bias is None else bias.detach(), persistent=False)
        self.eval()

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """(..., i) -> (..., o)."""
        return torch.ops.mkldnn._linear_pointwise(values, self.weight, self.bias, "none", [], "")


class PackedSelfAttention(nn.Module):
    """`nn.MultiheadAttention` with the batch first, for unmasked self-attention."""

    def __init__(self, attention: nn.MultiheadAttention):
        super().__init__()
        self.heads = attention.num_heads
        self.into = PackedLinear(attention.in_proj_weight, attention.in_proj_bias)
        self.out = PackedLinear(attention.out_proj.weight, attention.out_proj.bias)
        self.eval()

    def forward(
        self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, need_weights: bool, attn_mask: None
    ) -> tuple[torch.Tensor, None]:
        """(b, n, w) -> (b, n, w), with the arguments that open_clip passes.

        Raises:
            ValueError: query, key and value differ, or weights or a mask are requested.
        """
        if key is not query or value is not query or need_weights or attn_mask is not None:
            raise ValueError("only unmasked self-attention without attention weights can be packed")
        b, n, width = query.shape
        q, k, v = self.into(query).view(b, n, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v)
        return self.out(mixed.transpose(1, 2).reshape(b, n, width)), None


def pack_linears(module: nn.Module) -> None:
    """Replace every float32 `nn.Linear` inside a module whose weights are used by nothing but its own forward pass."""
    for name, child in module.named_children():
        if type(child) is nn.Linear and child.weight.dtype == torch.float32:
            module.add_module(name, PackedLinear(child.weight, child.bias))
        else:
            pack_linears(child)
