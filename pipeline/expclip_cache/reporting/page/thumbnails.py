"""Small images for the page, as data URIs."""

import base64
import io
from pathlib import Path

from PIL import Image

from expclip_cache.base import DataError
from expclip_cache.datasets import Root, is_video
from expclip_cache.encoders import MAX_PIXELS, decode_video, read_listed_file

SIDE = 96
"""Longest side of a thumbnail, in pixels."""


def thumbnail(root: Root | None, path: str) -> str | None:
    """The image at `path` under `root` as a JPEG data URI; for a clip, its middle frame.

    Returns:
        None if it cannot be shown: the images are not on this machine, or this one cannot be opened.
    """
    if root is None:
        return None
    try:
        small = _shown(root, path)
    except (DataError, OSError, ValueError, IndexError, SyntaxError, Image.DecompressionBombError):
        return None
    if small is None:
        return None
    small.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def _shown(root: Root, path: str) -> Image.Image | None:
    """The image in a file, or the middle frame of a video or of a folder of frames."""
    place = root / path
    if isinstance(place, Path) and place.is_dir():
        frames = sorted(entry.name for entry in place.iterdir() if entry.is_file() and not entry.name.startswith("."))
        path = f"{path}/{frames[len(frames) // 2]}"
    if is_video(path):
        with (root / path).open("rb") as video:
            (frame,) = decode_video(video, 1, "edge")
        return frame
    with Image.open(io.BytesIO(read_listed_file(root, path))) as image:
        return None if image.width * image.height > MAX_PIXELS else image.convert("RGB")
