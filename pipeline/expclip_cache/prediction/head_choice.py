"""The head that classifies with a CLIP: the given one, or the demo's own, and whether it belongs to that CLIP."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from expclip_cache.base import DataError, EncoderError
from expclip_cache.cache import Identity
from expclip_cache.encoders import ClipSettings
from expclip_cache.heads import refuse_head_of_another_clip

if TYPE_CHECKING:
    from expclip_cache.encoders import ClipEncoder

DEMO_HEAD = Path(__file__).parents[1] / "demo" / "head.safetensors"


def choose_head(clip: ClipSettings, head: str | Path | None) -> Path:
    """The file of the head: by default the packaged one for the demo encoder.

    Raises:
        DataError: none is given, and the encoder is another one.
    """
    if head is not None:
        return Path(head)
    if clip.model == "demo":
        return DEMO_HEAD
    raise DataError(
        f"no head: {clip.model} needs one that was fitted to its features. Give the file with --head (head=...): "
        "`dvc repro` writes heads/<backbone>/<teacher>/<head>/seed-1.safetensors, `expclip-cache train` fits one to "
        "any features, `expclip-cache import-head` converts the reference's checkpoints."
    )


def refuse_misfit(head: Path, weights: np.ndarray, clip: ClipSettings, encoder: "ClipEncoder") -> None:
    """Make sure that a head belongs to a loaded CLIP.

    Args:
        head: its file.
        weights: W (t, d), its content.
        clip: the settings of the encoder.
        encoder: the CLIP.

    Raises:
        DataError: it names another CLIP.
        EncoderError: it takes features of another width.
    """
    refuse_head_of_another_clip(head, Identity(clip.image_settings(), encoder.describe()), f"CLIP {clip.model}")
    if weights.shape[1] != encoder.width:
        raise EncoderError(
            f"{head}: takes features of width {weights.shape[1]}, but CLIP {clip.model} has width {encoder.width}. "
            "Give the head that was trained on this CLIP."
        )
