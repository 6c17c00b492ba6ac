"""EmoCLIP's temporal transformer, with the names that its makers' checkpoint has."""

from collections import OrderedDict

import torch
import torch.nn.functional as F
from torch import nn

from expclip_cache.base import EncoderError

HEADS = 8
POSITIONS = 1024
"""Frames and the token before them, at most."""

CLIPS_AT_ONCE = 32
"""Queries, keys and values of a clip of 16 frames take 3 MB."""


class TemporalTransformer(nn.Module):
    """Frames (n, f, d) -> (n, d), raw: the output at a learned token that is put before the frames."""

    def __init__(self, width: int, depth: int = 2, head_width: int = 2048, mlp_width: int | None = None):
        """The published size by default; random weights.

        Args:
            width: d.
            head_width: of each of the 8 heads, which together are much wider than d.
            mlp_width: d by default.
        """
        super().__init__()
        self.cls_token = nn.Parameter(torch.randn(1, 1, width))
        self.pos_embedding = nn.Parameter(torch.randn(1, POSITIONS, width))
        layers = [
            nn.Sequential(
                _Residual(width, _Attention(width, HEADS * head_width)),
                _Residual(width, _mlp(width, mlp_width or width)),
            )
            for _ in range(depth)
        ]
        self.temporal_transformer = nn.ModuleDict({"layers": nn.Sequential(*layers)})

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        """(n, f, d) -> (n, d).

        Raises:
            EncoderError: there are more frames than positions.
        """
        if frames.shape[1] >= POSITIONS:
            raise EncoderError(f"EmoCLIP: expected at most {POSITIONS - 1} frames a clip, found {frames.shape[1]}.")
        return torch.cat([self._pooled(part) for part in frames.split(CLIPS_AT_ONCE)])

    def _pooled(self, frames: torch.Tensor) -> torch.Tensor:
        x = torch.cat([self.cls_token.expand(len(frames), -1, -1), frames], dim=1)
        x = x + self.pos_embedding[:, : x.shape[1]]
        return self.temporal_transformer["layers"](x)[:, 0]


class _Residual(nn.Module):
    """x + inside(norm(x))."""

    def __init__(self, width: int, inside: nn.Module):
        super().__init__()
        self.fn = nn.ModuleDict({"norm": nn.LayerNorm(width), "fn": inside})

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.fn["fn"](self.fn["norm"](x))


class _Attention(nn.Module):
    """Self-attention whose heads together are `inner` wide: (n, f, d) -> (n, f, d)."""

    def __init__(self, width: int, inner: int):
        super().__init__()
        self.to_qkv = nn.Linear(width, 3 * inner, bias=False)
        self.to_out = nn.Sequential(nn.Linear(inner, width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n, tokens, _ = x.shape
        q, k, v = self.to_qkv(x).view(n, tokens, 3, HEADS, -1).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v)
        return self.to_out(mixed.transpose(1, 2).reshape(n, tokens, -1))


def _mlp(width: int, inner: int) -> nn.Module:
    """Two layers, which the checkpoint calls `net.0` and `net.3`: between them was a dropout."""
    net = nn.Sequential(nn.Linear(width, inner), nn.GELU(approximate="tanh"), nn.Identity(), nn.Linear(inner, width))
    return nn.Sequential(OrderedDict(net=net))
