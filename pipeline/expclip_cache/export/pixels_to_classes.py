"""Image tower, head and prompts as one module of torch."""

import numpy as np
import torch
from torch import nn

from expclip_cache.encoders import PixelsToFeatures
from expclip_cache.scoring import MIN_NORM, PromptIndex

EXACT = ("vectors", "root")
"""Weights that are small and decide between classes: they stay float32."""


class PixelsToClasses(nn.Module):
    """(b, 3, size, size) uint8 -> probabilities and similarities of c classes, each (b, c) float32.

    Probabilities are CLIP's softmax over the classes, similarities are those of the index.
    """

    def __init__(self, pixels_to_features: PixelsToFeatures, index: PromptIndex, logit_scale: float):
        super().__init__()
        self.pixels_to_features = pixels_to_features
        self.logit_scale = logit_scale
        self.vectors = nn.Buffer(_tensor(index.vectors.T))
        self.root = None if index.root is None else nn.Buffer(_tensor(index.root))
        self.eval()

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Probabilities and similarities, by the formula of `PromptIndex.similarities`.

        Raises:
            ValueError: the pixels have another shape or dtype.
        """
        features = self.pixels_to_features(pixels)
        projected = features if self.root is None else features @ self.root
        norms = torch.linalg.vector_norm(projected, dim=1, keepdim=True).clamp_min(MIN_NORM)
        similarities = features @ self.vectors / norms
        return (self.logit_scale * similarities).softmax(dim=1), similarities


def _tensor(matrix: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(matrix))
