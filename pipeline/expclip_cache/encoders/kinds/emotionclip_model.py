"""What EmotionCLIP adds to a CLIP, with the names that its makers' checkpoint has: subject token and visual head."""

import numpy as np
import torch
from open_clip.transformer import VisionTransformer
from torch import nn

HEADS = 8
FRAMES = 8
"""T, the frames of a clip; the head has no other number of positions."""

COVERAGE = 1.0
"""The share of each patch that belongs to the person whose emotion is asked for, the same for all patches."""


class SubjectTower(nn.Module):
    """The image tower with one more token, which says where the person is: (b, 3, h, w) -> (b, d).

    The makers sum the position embeddings of the patches, each times the share of the patch that a person's box
    covers. Images here show the person's face, so every patch is covered.
    """

    def __init__(self, visual: VisionTransformer):
        super().__init__()
        self.visual = visual
        self.image_size = visual.image_size

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """(b, 3, h, w) -> (b, d)."""
        visual, b = self.visual, len(images)
        patches = visual.conv1(images).flatten(2).transpose(1, 2)
        tokens = torch.cat([visual.class_embedding.expand(b, 1, -1), patches], dim=1) + visual.positional_embedding
        subject = COVERAGE * visual.positional_embedding[1:].sum(dim=0)
        tokens = torch.cat([tokens, subject.expand(b, 1, -1)], dim=1)
        mixed = visual.transformer(visual.ln_pre(tokens))
        return visual.ln_post(mixed[:, 0]) @ visual.proj


class VisualHead(nn.Module):
    """Frames (n, f, d) -> (n, d), raw: mean over 8 frames x of encoder(x + positions) + x.

    Of more or fewer frames, 8 at equal distances are taken, the first and the last among them. A single frame is a
    still image, which the makers encode without this head: it stays as it is.
    """

    def __init__(self, width: int, depth: int = 6, mlp_width: int = 2048):
        """The published size by default; random weights.

        Args:
            width: d.
        """
        super().__init__()
        layer = nn.TransformerEncoderLayer(width, HEADS, mlp_width, activation="gelu", batch_first=True)
        self.fusion_layer = nn.TransformerEncoder(layer, depth, nn.LayerNorm(width), enable_nested_tensor=False)
        self.frame_position_embedding = nn.Embedding(FRAMES, width)
        self.register_buffer("position_ids", torch.arange(FRAMES))

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        """(n, f, d) -> (n, d)."""
        if frames.shape[1] == 1:
            return frames[:, 0]
        x = frames[:, np.linspace(0, frames.shape[1] - 1, FRAMES, dtype=int)]
        return (self.fusion_layer(x + self.frame_position_embedding.weight) + x).mean(dim=1)
