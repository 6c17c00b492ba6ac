"""A backbone of transformers as the rest of the package knows it."""

from collections.abc import Callable, Sequence
from typing import Any

import torch

from expclip_cache.encoders.kinds.hugging_face import HuggingFaceFiles
from expclip_cache.encoders.kinds.hugging_face_model import DTYPES
from expclip_cache.encoders.kinds.hugging_face_texts import Texts
from expclip_cache.encoders.kinds.registry import KINDS
from expclip_cache.encoders.libraries import loaded_libraries
from expclip_cache.encoders.ordinary_tensor import ordinary
from expclip_cache.encoders.preprocess import Preprocess, to_float
from expclip_cache.encoders.settings import ClipSettings

TEXT_BATCH = 256
"""Prompts per forward pass of the text side."""


class HuggingFaceEncoder:
    """An `ImageTextEncoder` made of two functions of a frozen model. Its features are raw, not L2-normalised.

    Attributes:
        width: d, of one vector of an image and of a text's.
        vectors: q, of an image.
        image_size: side of the square that the model takes, in pixels.
        logit_scale: what cosines are multiplied by in the model's own loss.
        device: where it runs.
        preprocess: how an image becomes the pixels that `encode_images` takes.

    Args:
        images: (b, 3, h, w) in the settings' precision -> (b, d) or (b, q, d).
        texts: the tokenizer's tensors, (p, context) each -> (p, d).
    """

    def __init__(
        self,
        files: HuggingFaceFiles,
        settings: ClipSettings,
        device: torch.device,
        *,
        images: Callable[[torch.Tensor], torch.Tensor],
        texts: Callable[[dict[str, torch.Tensor]], torch.Tensor],
        tokenizer: Texts,
        preprocess: Preprocess,
        width: int,
        logit_scale: float,
        vectors: int = 1,
    ):
        self.width, self.vectors, self.image_size = width, vectors, preprocess.size
        self.logit_scale, self.device, self.preprocess = logit_scale, device, preprocess
        self._images, self._texts, self._tokenizer = images, texts, tokenizer
        self._dtype = DTYPES[settings.precision]
        self._hashes = files.hashes()
        self._library = loaded_libraries(KINDS[settings.kind].libraries, files.commits)

    def describe(self) -> dict[str, Any]:
        """The facts about the loaded encoder, as JSON values."""
        return {
            **self._hashes,
            "width": self.width,
            "image_size": self.image_size,
            "context_length": self._tokenizer.context_length,
            "logit_scale": self.logit_scale,
            **({} if self.vectors == 1 else {"vectors": self.vectors}),
            "library": self._library,
        }

    def encode_images(self, pixels: torch.Tensor) -> torch.Tensor:
        """Features of the image side.

        Args:
            pixels: (b, 3, h, w) uint8, h = w = `image_size`, as `read_pixels(path, self.preprocess)` makes them.

        Returns:
            (b, q * d) float32 on `device`, raw.

        Raises:
            ValueError: the pixels have another shape or dtype.
        """
        return self._encode(pixels, self._images)

    def _encode(self, pixels: torch.Tensor, images: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
        """Pixels (b, 3, h, w) uint8 -> what `images` makes of their values, a row of float32 for each result."""
        with torch.inference_mode():
            values = to_float(pixels.to(self.device, non_blocking=True), self.preprocess)
            features = images(values.to(self._dtype)).flatten(start_dim=1)
        return ordinary(features)

    def encode_texts(self, texts: Sequence[str]) -> torch.Tensor:
        """Features of the text side, (p, d) float32 on `device`, raw.

        Raises:
            EncoderError: a prompt is longer than the context, or the tokenizer belongs to another model.
        """
        if not texts:
            return torch.empty(0, self.width, device=self.device)
        parts = []
        with torch.inference_mode():
            for first in range(0, len(texts), TEXT_BATCH):
                tokens = self._tokenizer(texts[first : first + TEXT_BATCH])
                parts.append(self._texts({name: tensor.to(self.device) for name, tensor in tokens.items()}))
            features = torch.cat(parts)
        return ordinary(features)
