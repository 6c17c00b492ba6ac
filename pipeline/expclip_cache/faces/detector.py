"""Finding the face in a photo with dlib's frontal face detector, whose model is part of the package (no download)."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from typing import Any, TypeVar

import numpy as np
from PIL import Image

from expclip_cache.base import EncoderError

SIZES = (640, 1600)
"""Longest side, in pixels, of the image given to the detector; tried in this order until a face is found. The detector
finds faces of at least 80 pixels: the first size is fast, the second finds faces down to a twentieth of the image's
longest side."""

MARGIN = 0.2
"""Margin on each side of the detector's box, which ends at brows and chin, as a fraction of the box's width."""

DETECTOR = {"name": "dlib frontal faces", "version": 1, "sizes": list(SIZES), "margin": MARGIN}
"""Everything that decides a box. Raise the version with an edit that changes boxes: faces are then found again."""


@dataclass(frozen=True)
class DetectedFace:
    """The largest face of an image: its box with margin, clipped to the image, in pixels of the full-size image.

    Attributes:
        found: how many faces were detected.
    """

    left: int
    top: int
    right: int
    bottom: int
    found: int

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Left, top, right, bottom."""
        return self.left, self.top, self.right, self.bottom


def can_find_faces() -> bool:
    """Whether the detector is installed."""
    return find_spec("dlib") is not None


class FaceFinder:
    """Finds the largest face of an image.

    Raises:
        EncoderError: the detector is not installed.
    """

    def __init__(self) -> None:
        if not can_find_faces():
            raise EncoderError(
                "no face detector is installed. Install it (pip install 'expclip-cache[face]'), or use whole images, "
                "such as those that are already cropped to the face (predict --no-crop; crop: none for a dataset)."
            )
        self._detector = _detector()

    def find(self, image: Image.Image) -> DetectedFace | None:
        """The largest face of an RGB image, or None if no face is found."""
        return next((face for size in SIZES if (face := self._find(image, size))), None)

    def find_large(self, image: Image.Image) -> DetectedFace | None:
        """The same for faces of at least an eighth of the image's longest side; takes a sixth of the time."""
        return self._find(image, SIZES[0])

    def _find(self, image: Image.Image, size: int) -> DetectedFace | None:
        scale = size / max(image.size)
        width, height = (max(1, round(side * scale)) for side in image.size)
        scaled = image.resize((width, height), Image.Resampling.BILINEAR)
        boxes, _, _ = self._detector.run(np.asarray(scaled), 0, 0.0)
        if not boxes:
            return None
        largest = max(boxes, key=lambda box: box.area())
        margin = MARGIN * largest.width()
        return DetectedFace(
            left=max(0, round((largest.left() - margin) / scale)),
            top=max(0, round((largest.top() - margin) / scale)),
            right=min(image.width, round((largest.right() + margin) / scale)),
            bottom=min(image.height, round((largest.bottom() + margin) / scale)),
            found=len(boxes),
        )


@cache
def _detector() -> Any:
    """The detector of frontal faces, which takes half a second to make."""
    import dlib

    # dlib is a compiled module without type stubs.
    return dlib.get_frontal_face_detector()  # pyright: ignore[reportAttributeAccessIssue]


Found = TypeVar("Found")


def fill_gaps(faces: Sequence[Found | None]) -> list[Found]:
    """The face of each frame; without one, that of the last frame before it that has one, or else the first after it.

    >>> fill_gaps([None, "a", None, "b"])
    ['a', 'a', 'a', 'b']

    Args:
        faces: at least one of them must be there.
    """
    current = next(face for face in faces if face)
    filled = []
    for face in faces:
        current = face or current
        filled.append(current)
    return filled
