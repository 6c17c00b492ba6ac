"""A CLIP's image tower, with the normalisation of pixels before it, as one module of torch."""

import torch
from torch import nn

from expclip_cache.encoders.clip_model import ClipModel
from expclip_cache.encoders.preprocess import Preprocess, to_float


class PixelsToFeatures(nn.Module):
    """(b, 3, size, size) uint8 -> (b, d) float32, raw: everything that happens to an image after its resizing.

    Attributes:
        preprocess: how an image becomes these pixels.
    """

    def __init__(self, model: ClipModel, preprocess: Preprocess, dtype: torch.dtype):
        super().__init__()
        self.model = model
        self.preprocess = preprocess
        self._dtype = dtype
        self.eval()

    @property
    def weight_bytes(self) -> int:
        """What the image tower's weights take."""
        return sum(weight.nbytes for weight in self.model.visual.parameters())

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Normalise the pixels and encode them.

        Raises:
            ValueError: the pixels have another shape or dtype.
        """
        values = to_float(pixels, self.preprocess)
        return self.model.encode_image(values.to(self._dtype)).to(torch.float32)
