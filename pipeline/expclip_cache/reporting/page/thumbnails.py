"""Small images for the page, as data URIs."""

import base64
import io
from pathlib import Path

from PIL import Image

from expclip_cache.encoders import MAX_PIXELS

SIDE = 96
"""Longest side of a thumbnail, in pixels."""


def thumbnail(root: Path | None, path: str) -> str | None:
    """The image at `path` under `root` as a JPEG data URI; for a clip's folder, its middle frame.

    Returns:
        None if it cannot be shown: the images are not on this machine, or this one cannot be opened.
    """
    if root is None:
        return None
    file = root / path
    try:
        if file.is_dir():
            frames = sorted(entry for entry in file.iterdir() if entry.is_file() and not entry.name.startswith("."))
            file = frames[len(frames) // 2]
        with Image.open(file) as image:
            if image.width * image.height > MAX_PIXELS:
                return None
            small = image.convert("RGB")
    except (OSError, ValueError, IndexError, SyntaxError, Image.DecompressionBombError):
        return None
    small.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
