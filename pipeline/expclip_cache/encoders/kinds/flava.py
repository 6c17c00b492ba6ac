"""Kind `flava`: FLAVA, such as facebook/flava-full, as its makers use it without training.

The first token of each side's last hidden state goes through that side's projection. What FLAVA has beside its two
sides (the encoder of both together, heads, the codebook of images) is not loaded.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from expclip_cache.encoders.kinds.hugging_face import HuggingFaceFiles, check_model_type, find_hugging_face_files
from expclip_cache.encoders.settings import ClipSettings

if TYPE_CHECKING:
    import torch

    from expclip_cache.encoders.image_text import ImageTextEncoder

__all__ = ["find_files", "load"]


def find_files(settings: ClipSettings, commits: Sequence[str] = (), *, local_only: bool = False) -> HuggingFaceFiles:
    """See `find_hugging_face_files`."""

    def check(config: Mapping[str, Any], file: Path) -> None:
        check_model_type(config, file, "flava")

    return find_hugging_face_files(settings, check, commits, local_only=local_only)


def load(settings: ClipSettings, device: "torch.device", commits: Sequence[str] = ()) -> "ImageTextEncoder":
    """See `flava_model.load_encoder`."""
    from expclip_cache.encoders.kinds.flava_model import load_encoder

    return load_encoder(settings, find_files(settings, commits), device)
