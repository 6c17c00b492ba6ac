"""A checkpoint of the reference -> a head that names its CLIP."""

import hashlib
from pathlib import Path
from typing import Any

from expclip_cache.base import EncoderError
from expclip_cache.cache import Identity
from expclip_cache.encoders import ClipSettings
from expclip_cache.heads.checkpoint import read_checkpoint
from expclip_cache.heads.head_file import write_head
from expclip_cache.heads.origin import CLIP, clip_of


def import_checkpoint(checkpoint: Path, out: Path, clip: ClipSettings | None) -> tuple[int, int]:
    """Convert a checkpoint to a head. Nothing in it is executed.

    Args:
        checkpoint: a torch file, see `read_checkpoint`.
        out: the head.
        clip: what the head was fitted to; it is loaded, so that the head's file records all of it. Without one, the
            head names no CLIP.

    Returns:
        (t, d), the widths of the head.

    Raises:
        DataError: the checkpoint cannot be used.
        EncoderError: the CLIP cannot be loaded or has features of another width.
    """
    matrix = read_checkpoint(checkpoint)
    record: dict[str, Any] = {
        "imported_from": checkpoint.name,
        "checkpoint_sha256": hashlib.sha256(checkpoint.read_bytes()).hexdigest(),
    }
    if clip is not None:
        record[CLIP] = clip_of(_identity(clip, matrix.shape[1]))
    write_head(out, matrix, record)
    return matrix.shape[0], matrix.shape[1]


def _identity(clip: ClipSettings, width: int) -> Identity:
    """Of the features of a CLIP, whose width must be that of the head."""
    from expclip_cache.encoders import load_backbone
    from expclip_cache.workers import resolve_device

    encoder = load_backbone(clip, resolve_device("cpu"))
    if encoder.width != width:
        raise EncoderError(
            f"{clip.model}: has features of width {encoder.width}, but the head takes features of width {width}. Name "
            "the CLIP that it was fitted to."
        )
    return Identity(clip.image_settings(), encoder.describe())
