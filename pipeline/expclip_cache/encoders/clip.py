"""The frozen CLIP: its image tower encodes the images, its text tower the prompts (open_clip)."""

from collections.abc import Sequence
from typing import Any

import open_clip
import torch

from expclip_cache.base import EncoderError
from expclip_cache.encoders.clip_files import ClipFiles, find_clip_files
from expclip_cache.encoders.clip_model import ClipModel, Tokenizer, build_clip, vocabulary_size
from expclip_cache.encoders.libraries import clip_libraries, loaded_libraries
from expclip_cache.encoders.ordinary_tensor import ordinary
from expclip_cache.encoders.pixels_to_features import PixelsToFeatures
from expclip_cache.encoders.preprocess import Preprocess, preprocess
from expclip_cache.encoders.settings import ClipSettings

MAX_LETTERS = 100
"""Letters of a token at most, more than any has."""

TEXT_BATCH = 256
"""Prompts per forward pass of the text tower."""


class ClipEncoder:
    """A frozen CLIP in evaluation mode. Its features are raw, not L2-normalised.

    Attributes:
        width: d, the width of both towers' features.
        vectors: of an image, always 1.
        image_size: side of the square that the image tower takes, in pixels.
        logit_scale: exp of CLIP's parameter `logit_scale` (100 for OpenAI's), the scale in the head's loss.
        context_length: tokens per prompt, start and end included.
        device: where the model runs.
        preprocess: how an image becomes the pixels that `encode_images` takes.
        pixels_to_features: what `encode_images` computes, as a module of torch.
    """

    vectors = 1

    def __init__(
        self, model: ClipModel, tokenizer: Tokenizer, files: ClipFiles, settings: ClipSettings, device: torch.device
    ):
        text = files.model["text_cfg"]
        self.device = device
        self.width = int(files.model["embed_dim"])
        self.image_size = _side(model.visual.image_size)
        self.logit_scale = float(model.logit_scale.detach().float().exp())
        self.context_length = int(text.get("context_length", 77))
        self.preprocess: Preprocess = preprocess(
            settings.preprocess, self.image_size, settings.decode, files.preprocess
        )
        self._model = model
        dtype = open_clip.get_input_dtype(settings.precision) or torch.float32
        self.pixels_to_features = PixelsToFeatures(model, self.preprocess, dtype)
        self._tokenizer = tokenizer
        self._vocabulary = vocabulary_size(model)
        # In this mode the last position holds the class token, whatever the length.
        self._compared = -1 if text.get("tokenizer_mode") == "clips" else None
        self._activation = "quick_gelu" if files.model.get("quick_gelu") else "gelu"
        self._hashes = files.hashes()
        self._library = loaded_libraries(clip_libraries(files.model), files.commits)

    def describe(self) -> dict[str, Any]:
        """The facts about the loaded encoder, as JSON values."""
        return {
            **self._hashes,
            "width": self.width,
            "image_size": self.image_size,
            "context_length": self.context_length,
            "logit_scale": self.logit_scale,
            "activation": self._activation,
            "library": self._library,
        }

    def encode_images(self, pixels: torch.Tensor) -> torch.Tensor:
        """Features of the image tower.

        Args:
            pixels: (b, 3, h, w) uint8, h = w = `image_size`, as `read_pixels(path, self.preprocess)` makes them.

        Returns:
            (b, d) float32 on `device`, raw.

        Raises:
            ValueError: the pixels have another shape or dtype.
        """
        with torch.inference_mode():
            features = self.pixels_to_features(pixels.to(self.device, non_blocking=True))
        return ordinary(features)

    def encode_texts(self, texts: Sequence[str]) -> torch.Tensor:
        """Features of the text tower.

        Args:
            texts: p prompts.

        Returns:
            (p, d) float32 on `device`, raw.

        Raises:
            EncoderError: a prompt is longer than the context, or the tokenizer does not belong to the text tower.
        """
        if not texts:
            return torch.empty(0, self.width, device=self.device)
        tokens = self._tokens(list(texts))
        with torch.inference_mode():
            parts = [self._model.encode_text(part.to(self.device)) for part in tokens.split(TEXT_BATCH)]
            features = torch.cat(parts)
        return ordinary(features)

    def _tokens(self, texts: list[str]) -> torch.Tensor:
        """(p, context) token ids. open_clip truncates long prompts silently; here they are an error."""
        for text in texts:
            # Tokenizing a text of megabytes takes minutes, only to find that it is too long.
            if len(text) > MAX_LETTERS * self.context_length:
                raise EncoderError(
                    f"backbone: a prompt of {len(text):,} letters is longer than the {self.context_length} tokens of "
                    f"its context: {text[:60]!r} ..."
                )
        tokens = self._tokenizer(texts, context_length=self.context_length)
        if int(tokens.max()) >= self._vocabulary:
            raise EncoderError(
                f"backbone: its tokenizer gives token {int(tokens.max())}, but its text tower has "
                f"{self._vocabulary} tokens. The folder's tokenizer files are missing or belong to another model."
            )
        # A truncated prompt has the end token where one more position of context would have shown another token.
        longer = self._tokenizer(texts, context_length=self.context_length + 1)
        truncated = (tokens != longer[:, :-1])[:, : self._compared].any(dim=1).nonzero().flatten().tolist()
        if truncated:
            raise EncoderError(
                f"prompt {texts[truncated[0]]!r} has more than the {self.context_length} tokens that this CLIP reads. "
                "Shorten it."
            )
        return tokens


def load_clip(
    settings: ClipSettings, device: torch.device, commits: Sequence[str] = (), *, packed: bool = True
) -> ClipEncoder:
    """Build the CLIP that the settings name, and freeze it.

    Args:
        settings: `model` is the packaged `demo`, a folder (`open_clip_config.json`, tokenizer files and
            `open_clip_model.safetensors`), an architecture of open_clip, or `hf-hub:<owner>/<name>`. `weights` is
            `pretrained` for the weights of a folder or repository, one of open_clip's tags or a file of weights for an
            architecture, or `random` (seed 0).
        device: where the model runs.
        commits: as `owner/name@commit`: what is taken of a repository if the settings name no revision.
        packed: on a CPU, lay the weights out for speed; torch cannot export a model that is packed.

    Raises:
        EncoderError: the model or tag is unknown, the weights are missing or do not fit, or the hub cannot be reached.
    """
    files = find_clip_files(settings, commits)
    model, tokenizer = build_clip(settings.model, files, settings.precision, device, packed)
    return ClipEncoder(model, tokenizer, files, settings, device)


def _side(size: int | tuple[int, int]) -> int:
    """The side of a square input."""
    sides = {size} if isinstance(size, int) else set(size)
    if len(sides) != 1:
        raise EncoderError(
            f"backbone: its image tower takes images of {size} pixels; only square inputs are supported."
        )
    return sides.pop()
