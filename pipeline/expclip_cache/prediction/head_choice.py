"""Which head classifies, and which CLIP it belongs to."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from expclip_cache.base import DataError, EncoderError
from expclip_cache.cache import Identity
from expclip_cache.encoders import ClipSettings
from expclip_cache.heads import PUBLISHED_HEADS, clip_of_head, fetch_published_head, refuse_head_of_another_clip

if TYPE_CHECKING:
    from expclip_cache.encoders import ImageTextEncoder

DEMO_HEAD = Path(__file__).parents[1] / "demo" / "head.safetensors"

NO_HEAD = "none"
"""Plain CLIP instead of a head."""


def choose_head(head: str | Path | None, clip: ClipSettings | None) -> tuple[Path | None, ClipSettings]:
    """The file of the head, None for plain CLIP, and its CLIP.

    Args:
        head: a file, the name of a published head, or `none`; None for the packaged one of the demo encoder.
        clip: None for the one that the head was fitted to.

    Raises:
        DataError: the head is missing, or names no CLIP and none is given.
        EncoderError: a published head cannot be downloaded.
    """
    if head is None:
        if clip is None or clip.model == ClipSettings().model:
            return DEMO_HEAD, clip or ClipSettings()
        raise DataError(
            f"no head: {clip.model} needs one that was fitted to its features. Give the file with --head (head=...): "
            "`dvc repro` writes heads/<backbone>/<teacher>/<head>/seed-1.safetensors, `expclip-cache train` fits one "
            "to any features, and the reference's own have the names "
            f"{', '.join(PUBLISHED_HEADS)}. Without a head, as plain CLIP: --head none."
        )
    if head == NO_HEAD:
        return None, clip or ClipSettings()
    file = fetch_published_head(str(head)) if head in PUBLISHED_HEADS else Path(head)
    if not file.exists():
        raise DataError(
            f"{file}: no such head. Expected a .safetensors file, {', '.join(PUBLISHED_HEADS)} or {NO_HEAD}."
        )
    found = clip or clip_of_head(file)
    if found is None:
        raise DataError(f"{file}: names no CLIP. Say which one it was fitted to: --model and --weights (clip=...).")
    return file, found


def refuse_misfit(head: Path, weights: np.ndarray, clip: ClipSettings, encoder: "ImageTextEncoder") -> None:
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
