"""Whether images look like whole scenes where face crops are expected."""

from collections.abc import Sequence
from pathlib import Path

from expclip_cache.datasets.listing import ListedRow

FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "TIFF")
"""Formats whose headers are read; Pillow would start other programs for some of the others."""

LOOKED_AT = 32
"""Images whose headers are read."""

SQUARE = 1.25
"""Largest ratio of the longer side to the shorter one of a face crop."""


def scene_notes(root: Path, rows: Sequence[ListedRow]) -> list[str]:
    """A note if most of the images are far from square, as scenes are and face crops are not.

    Reads the headers of a few images, spread over the rows; those that cannot be read do not count.
    """
    step = -(-len(rows) // LOOKED_AT)
    sizes = [size for row in rows[:: max(step, 1)] if not row.boxes and (size := _size(root / row.files[0]))]
    oblong = [size for size in sizes if max(size) > SQUARE * min(size)]
    if 2 * len(oblong) <= len(sizes):
        return []
    width, height = oblong[0]
    return [
        f"{len(oblong)} of {len(sizes)} images that were looked at are far from square, such as {width} x {height}: "
        "these look like whole scenes. The published scores, and the reference's head, are those of face crops"
    ]


def _size(path: Path) -> tuple[int, int] | None:
    """Width and height in pixels; None if the file's header cannot be read."""
    from PIL import Image

    try:
        if not path.is_file():
            return None
        with Image.open(path, formats=FORMATS) as image:
            return image.size
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
