"""Kind `x-clip`: X-CLIP of transformers, such as microsoft/xclip-base-patch32.

Its text side depends on the clip, so no class vector can be cached. A row holds the vector of the whole clip, and those
of its patches, averaged over the frames, to which the texts attend when they are scored (`scoring.conditioned_text`).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from expclip_cache.base import EncoderError
from expclip_cache.encoders.kinds.hugging_face import HuggingFaceFiles, check_model_type, find_hugging_face_files
from expclip_cache.encoders.settings import ClipSettings

if TYPE_CHECKING:
    import torch

    from expclip_cache.encoders.image_text import ImageTextEncoder

__all__ = ["find_files", "load"]

ACTIVATION = "quick_gelu"
"""Of the layers that condition the texts; `scoring.text_conditioning` computes no other."""


def find_files(settings: ClipSettings, commits: Sequence[str] = (), *, local_only: bool = False) -> HuggingFaceFiles:
    """See `find_hugging_face_files`."""

    def check(config: Mapping[str, Any], file: Path) -> None:
        check_model_type(config, file, "x-clip")
        found = config.get("prompt_hidden_act", ACTIVATION)
        if found != ACTIVATION:
            raise EncoderError(
                f"backbone: {file} has prompt_hidden_act {found!r}; scores are computed from caches with {ACTIVATION} "
                "alone. Choose a model that has it, as all published X-CLIPs do."
            )

    return find_hugging_face_files(settings, check, commits, local_only=local_only)


def load(settings: ClipSettings, device: "torch.device", commits: Sequence[str] = ()) -> "ImageTextEncoder":
    """Build the X-CLIP that the settings name, and freeze it.

    Raises:
        EncoderError: files are missing or do not fit, or `pool` is not mean.
    """
    if settings.pool != "mean":
        raise EncoderError(
            f"backbone: kind x-clip puts the frames of a clip together by itself; pool: {settings.pool} has nothing to "
            "work on. Set its pool: mean."
        )
    from expclip_cache.encoders.kinds.x_clip_model import XClipEncoder

    return XClipEncoder(settings, find_files(settings, commits), device)
