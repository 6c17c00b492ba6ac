"""X-CLIP, whose features of a clip are those of all its frames together."""

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from safetensors.numpy import save
from transformers import XCLIPModel

from expclip_cache.base import EncoderError
from expclip_cache.encoders.kinds.hf_files import HfFiles
from expclip_cache.encoders.kinds.hf_model import TextTokens, build_model, ordinary, square_side, trained_preprocess
from expclip_cache.encoders.kinds.registry import TRANSFORMERS
from expclip_cache.encoders.libraries import loaded_libraries
from expclip_cache.encoders.preprocess import to_float
from expclip_cache.encoders.settings import ClipSettings


class XClip(XCLIPModel):
    """transformers' class; old checkpoints store counters that it does not read."""

    _keys_to_ignore_on_load_unexpected = (r"position_ids$",)


class XClipEncoder:
    """A frozen X-CLIP in evaluation mode; attributes as in `ImageTextEncoder`.

    Attributes:
        clip_frames: frames of a clip that it takes.
    """

    def __init__(self, files: HfFiles, settings: ClipSettings, device: torch.device):
        """Build it.

        Raises:
            EncoderError: it cannot be built, or `pool` is not mean.
        """
        if settings.pool != "mean":
            raise EncoderError(
                f"backbone: kind x-clip puts frames together by itself, so pool: {settings.pool} means nothing to it. "
                "Set its pool: mean."
            )
        self._model = build_model(XClip, files, settings, device)
        # The library types the parts of a config as any of several things.
        self._config: Any = self._model.config
        text, vision = self._config.text_config, self._config.vision_config
        self.device = device
        self.width: int = self._config.projection_dim
        self.image_size = square_side(vision.image_size)
        self.vectors = 1 + (self.image_size // vision.patch_size) ** 2
        self.clip_frames: int = vision.num_frames
        self.logit_scale = float(self._model.logit_scale.float().exp())
        self.preprocess = trained_preprocess(files, settings, self.image_size)
        self._tokens = TextTokens(files, text.max_position_embeddings)
        self._hashes = files.hashes()
        self._library = loaded_libraries(TRANSFORMERS, files.commits)

    def describe(self) -> dict[str, Any]:
        """The facts about the loaded encoder, as JSON values."""
        return {
            **self._hashes,
            "width": self.width,
            "vectors": self.vectors,
            "comparison": "conditioned-text",
            "conditioning_sha256": hashlib.sha256(self.conditioning_weights()).hexdigest(),
            "clip_frames": self.clip_frames,
            "image_size": self.image_size,
            "context_length": self._tokens.longest,
            "logit_scale": self.logit_scale,
            "library": self._library,
        }

    def conditioning_weights(self) -> bytes:
        """What conditions the texts on a clip, as `scoring.TextConditioning` reads it."""
        config = self._config
        weights = {name: ordinary(tensor).cpu().numpy() for name, tensor in self._generator.state_dict().items()}
        numbers = {
            "heads": np.array([config.prompt_num_attention_heads], dtype=np.float32),
            "visual_eps": np.array([config.vision_config.layer_norm_eps], dtype=np.float32),
            "text_eps": np.array([config.text_config.layer_norm_eps], dtype=np.float32),
        }
        return save(weights | numbers)

    def encode_images(self, pixels: torch.Tensor) -> torch.Tensor:
        """An image as a clip that stands still: (b, 3, h, w) uint8 -> (b, (1 + m) * d) float32 on `device`, raw."""
        return self.encode_clips(pixels.unsqueeze(1))

    def encode_clips(self, pixels: torch.Tensor) -> torch.Tensor:
        """The vector of each clip, and those of its m patches.

        Args:
            pixels: (b, f, 3, h, w) uint8. Of the f frames, `clip_frames` are taken, those in the middle of as many
                equal parts, as X-CLIP's makers do; of fewer frames some are taken several times.

        Returns:
            (b, (1 + m) * d) float32 on `device`, raw.

        Raises:
            ValueError: the pixels have another shape or dtype.
        """
        clips, count = pixels[:, middles(pixels.shape[1], self.clip_frames)], self.clip_frames
        model = self._model
        with torch.inference_mode():
            frames = to_float(clips.flatten(0, 1).to(self.device, non_blocking=True), self.preprocess)
            seen = model.vision_model(pixel_values=frames.to(model.dtype))
            of_frames = model.visual_projection(seen.pooler_output).unflatten(0, (-1, count))
            of_clips = model.mit(of_frames).pooler_output
            patches = model.prompts_visual_layernorm(seen.last_hidden_state[:, 1:]) @ model.prompts_visual_projection
            patches = patches.unflatten(0, (-1, count)).mean(dim=1)
            rows = torch.cat([of_clips.unsqueeze(1), patches], dim=1).flatten(1)
        return ordinary(rows)

    def encode_texts(self, texts: Sequence[str]) -> torch.Tensor:
        """The texts before any clip conditions them: p texts -> (p, d) float32 on `device`, raw.

        Raises:
            EncoderError: a text is longer than the model reads.
        """
        found = torch.empty(len(texts), self.width, device=self.device)
        with torch.inference_mode():
            for place, text in enumerate(texts):
                pooled = self._model.text_model(**self._tokens(text, self.device)).pooler_output
                found[place] = self._model.text_projection(pooled)[0]
        return ordinary(found)

    @property
    def _generator(self) -> torch.nn.Module:
        return self._model.prompts_generator


def middles(frames: int, wanted: int) -> list[int]:
    """The frames in the middle of `wanted` equal parts of a clip.

    >>> middles(16, 4), middles(1, 2)
    ([2, 6, 10, 14], [0, 0])
    """
    return [int(frames / wanted * (place + 0.5)) for place in range(wanted)]
