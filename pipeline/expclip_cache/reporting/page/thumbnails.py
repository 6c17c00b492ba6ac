"""Small images for the page, as data URIs."""

import base64
import io
from pathlib import Path
from typing import BinaryIO

from PIL import Image

from expclip_cache.base import DataError
from expclip_cache.datasets import contained_file, is_video
from expclip_cache.encoders import MAX_PIXELS, decode_video

SIDE = 96
"""Longest side of a thumbnail, in pixels."""


def thumbnail(root: Path | None, path: str) -> str | None:
    """The image at `path` under `root` as a JPEG data URI; for a clip, its middle frame.

    Returns:
        None if it cannot be shown: the images are not on this machine, or this one cannot be opened.
    """
    if root is None:
        return None
    try:
        inside = contained_file(root, path)
        small = _of_file(root / path) if inside is None else _image(io.BytesIO(inside))
    except (DataError, OSError, ValueError, IndexError, SyntaxError, Image.DecompressionBombError):
        return None
    if small is None:
        return None
    small.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def _of_file(file: Path) -> Image.Image | None:
    """The image in a file, or the middle frame of a video or of a folder of frames."""
    if file.is_dir():
        frames = sorted(entry for entry in file.iterdir() if entry.is_file() and not entry.name.startswith("."))
        file = frames[len(frames) // 2]
    return _middle_frame(file) if is_video(file.name) else _image(file)


def _image(file: Path | BinaryIO) -> Image.Image | None:
    with Image.open(file) as image:
        return None if image.width * image.height > MAX_PIXELS else image.convert("RGB")


def _middle_frame(file: Path) -> Image.Image:
    with file.open("rb") as video:
        (frame,) = decode_video(video, 1, "edge")
    return frame
