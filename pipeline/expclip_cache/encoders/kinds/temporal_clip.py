"""A CLIP whose frame features a temporal model makes into the feature of a clip."""

import torch
from torch import nn

from expclip_cache.encoders.clip import ClipEncoder
from expclip_cache.encoders.clip_files import ClipFiles
from expclip_cache.encoders.clip_model import ClipModel, Tokenizer
from expclip_cache.encoders.ordinary_tensor import ordinary
from expclip_cache.encoders.settings import ClipSettings


class TemporalClip(ClipEncoder):
    """A frozen CLIP with a frozen temporal model, in evaluation mode."""

    def __init__(
        self,
        model: ClipModel,
        tokenizer: Tokenizer,
        files: ClipFiles,
        settings: ClipSettings,
        device: torch.device,
        temporal: nn.Module,
    ):
        """Put the two together.

        Args:
            temporal: (n, f, d) float32 -> (n, d) float32, on `device`.
        """
        super().__init__(model, tokenizer, files, settings, device)
        self._temporal = temporal

    def pool_frames(self, features: torch.Tensor) -> torch.Tensor:
        """Raw features of frames, (n, f, d) float32, in the clip's order -> (n, d) float32 on `device`, raw."""
        with torch.inference_mode():
            pooled = self._temporal(features.to(self.device, torch.float32))
        return ordinary(pooled)
