"""Kind `transformers`: CLIP and its relatives in transformers, with one vector for an image and one for a text.

CLIP (FLIP-80M's checkpoints are such), MetaCLIP 2, SigLIP, SigLIP 2 of a fixed resolution, AltCLIP, ALIGN and
Chinese-CLIP.
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

ADVICE = {
    "siglip2": "This SigLIP 2 takes images of any shape. Choose one of a fixed resolution, such as "
    "google/siglip2-base-patch16-224.",
}
"""What to do about models that look as if they belonged here."""


def find_files(settings: ClipSettings, commits: Sequence[str] = (), *, local_only: bool = False) -> HuggingFaceFiles:
    """See `find_hugging_face_files`."""

    def check(config: Mapping[str, Any], file: Path) -> None:
        check_model_type(config, file, "transformers", ADVICE)

    return find_hugging_face_files(settings, check, commits, local_only=local_only)


def load(settings: ClipSettings, device: "torch.device", commits: Sequence[str] = ()) -> "ImageTextEncoder":
    """See `transformers_clip_model.load_encoder`."""
    from expclip_cache.encoders.kinds.transformers_clip_model import load_encoder

    return load_encoder(settings, find_files(settings, commits), device)
