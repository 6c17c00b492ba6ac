"""Frozen linear layers on a CPU, multiplied by oneDNN.

Torch hands float32 products on a CPU to MKL, which leaves AVX-512 unused on AMD's processors: on two Zen 5 cores it
reached 170 GFLOP/s where oneDNN, which torch carries for its compiler, reached 420. Weights that never change are laid
out for it once. Results differ from torch's own in rounding only.
"""

import platform

import torch
import torch.nn.functional as F
from torch import nn


def can_pack(device: torch.device) -> bool:
    """Whether layers on this device can be packed here: an x86 CPU, and a torch with oneDNN and its operators."""
    x86 = platform.machine().lower() in ("x86_64", "amd64")
    has = all(hasattr(torch.ops.mkldnn, name) for name in ("_reorder_linear_weight", "_linear_pointwise"))
    return device.type == "cpu" and x86 and torch.backends.mkldnn.is_available() and has


class PackedLinear(nn.Module):
    """`nn.Linear` in float32 without gradients: (..., i) -> (..., o).

    Attributes:
        weight: (o, i) in a layout of oneDNN's own, of which only type and shape can be read.
        bias: (o,), or None.
    """

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
    """`nn.MultiheadAttention` with batches first, where queries, keys and values are the same and nothing is masked."""

    def __init__(self, attention: nn.MultiheadAttention):
        super().__init__()
        self.heads = attention.num_heads
        self.into = PackedLinear(attention.in_proj_weight, attention.in_proj_bias)
        self.out = PackedLinear(attention.out_proj.weight, attention.out_proj.bias)
        self.eval()

    def forward(
        self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, need_weights: bool, attn_mask: None
    ) -> tuple[torch.Tensor, None]:
        """(b, n, w) -> (b, n, w), called as open_clip does.

        Raises:
            ValueError: it is asked for something else than it can do.
        """
        if key is not query or value is not query or need_weights or attn_mask is not None:
            raise ValueError("only unmasked self-attention without weights can be packed")
        b, n, width = query.shape
        q, k, v = self.into(query).view(b, n, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v)
        return self.out(mixed.transpose(1, 2).reshape(b, n, width)), None


def pack_linears(module: nn.Module) -> None:
    """Replace every float32 `nn.Linear` inside a module that is only ever called, whose weights nobody else reads."""
    for name, child in module.named_children():
        if type(child) is nn.Linear and child.weight.dtype == torch.float32:
            setattr(module, name, PackedLinear(child.weight, child.bias))
        else:
            pack_linears(child)
