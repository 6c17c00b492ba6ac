"""LAVIS's vision model `clip_L`: CLIP's ViT-L/14 without its last layer, from a file with OpenAI's names."""

import math
import re
from collections.abc import Mapping
from pathlib import Path

import torch
from open_clip.transformer import LayerNorm, QuickGELU, Transformer
from torch import Tensor, nn

from expclip_cache.base import EncoderError

HEAD_WIDTH = 64
"""Of every CLIP's attention heads; no tensor tells it."""

UNREAD = re.compile(r"(ln_post|ln_final)\.|proj$|transformer\.resblocks\.(2[3-9]|[3-9]\d)\.")
"""What LAVIS leaves out of a CLIP's vision model: layers after the 23rd, and layer norm and projection at the end."""


class LavisVision(nn.Module):
    """(b, 3, h, w) -> (b, s, w), every token's state, the class token's first, without a last layer norm.

    Attributes:
        image_size: side of the square that it takes, in pixels.
        width: w.
    """

    def __init__(self, width: int, patch: int, grid: int, layers: int):
        super().__init__()
        self.width, self.image_size = width, grid * patch
        self.conv1 = nn.Conv2d(3, width, kernel_size=patch, stride=patch, bias=False)
        self.class_embedding = nn.Parameter(torch.empty(width))
        self.positional_embedding = nn.Parameter(torch.empty(grid * grid + 1, width))
        self.ln_pre = LayerNorm(width)
        self.transformer = Transformer(width, layers, width // HEAD_WIDTH, act_layer=QuickGELU)

    def forward(self, values: Tensor) -> Tensor:
        """See the class."""
        patches = self.conv1(values).flatten(2).mT
        tokens = torch.cat([self.class_embedding.expand(len(values), 1, -1), patches], dim=1)
        return self.transformer(self.ln_pre(tokens + self.positional_embedding))


def sized_like(tensors: Mapping[str, Tensor], file: Path) -> LavisVision:
    """A vision model of the sizes that these tensors have; its own weights are not set.

    Raises:
        EncoderError: they are of no such model.
    """
    width, _, patch, _ = shape_of(tensors, "conv1.weight", 4, file)
    positions, _ = shape_of(tensors, "positional_embedding", 2, file)
    grid = math.isqrt(positions - 1)
    if width % HEAD_WIDTH or grid * grid != positions - 1:
        raise EncoderError(
            f"backbone: {file} has the width {width} and {positions} positions; expected a multiple of {HEAD_WIDTH}, "
            "and those of a square of patches and one more. It holds the weights of another model."
        )
    layers = {name.split(".")[2] for name in tensors if name.startswith("transformer.resblocks.")}
    return LavisVision(width, patch, grid, layers=len(layers))


def shape_of(tensors: Mapping[str, Tensor], name: str, axes: int, file: Path) -> tuple[int, ...]:
    """The shape of a tensor by which a model's sizes are known.

    Raises:
        EncoderError: there is no such tensor.
    """
    found = tensors.get(name)
    if found is None or found.ndim != axes:
        raise EncoderError(
            f"backbone: {file} has no {name} with {axes} axes: it holds the weights of another model. It has "
            f"{', '.join(list(tensors)[:5])}, ..."
        )
    return tuple(found.shape)
