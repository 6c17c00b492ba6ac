"""X-CLIP, whose features of a clip are those of all its frames together."""

import hashlib
from typing import Any

import numpy as np
import torch
from safetensors.numpy import save
from transformers import XCLIPModel
from typing_extensions import override

from expclip_cache.encoders.kinds.hugging_face import HuggingFaceFiles
from expclip_cache.encoders.kinds.hugging_face_encoder import HuggingFaceEncoder
from expclip_cache.encoders.kinds.hugging_face_model import build_model, freeze, read_config
from expclip_cache.encoders.kinds.hugging_face_texts import Texts
from expclip_cache.encoders.kinds.trained_preprocess import image_preprocess
from expclip_cache.encoders.settings import ClipSettings


class XClipEncoder(HuggingFaceEncoder):
    """A frozen X-CLIP in evaluation mode.

    Attributes:
        clip_frames: how many frames of a clip it takes.
    """

    def __init__(self, settings: ClipSettings, files: HuggingFaceFiles, device: torch.device):
        """Build it.

        Raises:
            EncoderError: the model or its tokenizer cannot be built, or its weights do not fit.
        """
        # The library types the parts of a config as any of several things.
        config: Any = read_config(files)
        text, vision = config.text_config, config.vision_config
        preprocess = image_preprocess(settings, files, vision.image_size)
        self._model = build_model(XCLIPModel, config, files)
        self.clip_frames: int = vision.num_frames
        self._conditioning = _conditioning(self._model, config)
        scale = float(self._model.logit_scale.detach().exp())
        freeze(self._model, settings.precision, device)
        super().__init__(
            files,
            settings,
            device,
            images=lambda values: self._rows(self._repeated(values)),
            texts=lambda tokens: self._model.text_projection(self._model.text_model(**tokens).pooler_output),
            tokenizer=Texts(files, text.max_position_embeddings, text.vocab_size),
            preprocess=preprocess,
            width=config.projection_dim,
            logit_scale=scale,
            vectors=1 + (vision.image_size // vision.patch_size) ** 2,
        )

    @override
    def describe(self) -> dict[str, Any]:
        return {
            **super().describe(),
            "comparison": "conditioned-text",
            "conditioning_sha256": hashlib.sha256(self._conditioning).hexdigest(),
            "clip_frames": self.clip_frames,
        }

    def conditioning_weights(self) -> bytes:
        """What conditions the texts on a clip, as `scoring.TextConditioning` reads it."""
        return self._conditioning

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
        frames = pixels[:, middles(pixels.shape[1], self.clip_frames)].flatten(0, 1)
        return self._encode(frames, self._rows)

    def _rows(self, frames: torch.Tensor) -> torch.Tensor:
        """(b * clip_frames, 3, h, w) -> (b, 1 + m, d)."""
        model, count = self._model, self.clip_frames
        seen = model.vision_model(pixel_values=frames)
        of_clips = model.mit(model.visual_projection(seen.pooler_output).unflatten(0, (-1, count))).pooler_output
        patches = model.prompts_visual_layernorm(seen.last_hidden_state[:, 1:]) @ model.prompts_visual_projection
        return torch.cat([of_clips.unsqueeze(1), patches.unflatten(0, (-1, count)).mean(dim=1)], dim=1)

    def _repeated(self, images: torch.Tensor) -> torch.Tensor:
        """An image is a clip that stands still."""
        return images.repeat_interleave(self.clip_frames, dim=0)


def middles(frames: int, wanted: int) -> list[int]:
    """The frames in the middle of `wanted` equal parts of a clip.

    >>> middles(16, 4), middles(1, 2)
    ([2, 6, 10, 14], [0, 0])
    """
    return [int(frames / wanted * (place + 0.5)) for place in range(wanted)]


def _conditioning(model: XCLIPModel, config: Any) -> bytes:
    weights = {name: tensor.detach().numpy() for name, tensor in model.prompts_generator.state_dict().items()}
    numbers = {
        "heads": config.prompt_num_attention_heads,
        "visual_eps": config.vision_config.layer_norm_eps,
        "text_eps": config.text_config.layer_norm_eps,
    }
    return save(weights | {name: np.array([value], dtype=np.float32) for name, value in numbers.items()})
