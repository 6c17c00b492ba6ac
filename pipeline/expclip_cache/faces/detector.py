"""Finding the face in a photo with dlib's frontal face detector, whose model is part of the package (no download)."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from threading import local
from typing import Any, TypeVar

import numpy as np
from PIL import Image

from expclip_cache.base import EncoderError

SIZES = (640, 1600)
"""Longest side, in pixels, of the image given to the detector; tried in this order until a face is found. The detector
finds faces of at least 80 pixels: the first size is fast, the second finds faces down to a twentieth of the image's
longest side."""

SURE = 0.3
"""Score above which one of several faces is believed. In the images that were tried, what was no face had less than
0.2, and every face more than 0.7."""

MARGIN = 0.2
"""Margin on each side of the detector's box, which ends at brows and chin, as a fraction of the box's width."""

DETECTOR = {"name": "dlib frontal faces", "version": 1, "sizes": list(SIZES), "margin": MARGIN}
"""Everything that decides a box. Raise the version with an edit that changes boxes: faces are then found again."""


@dataclass(frozen=True)
class DetectedFace:
    """A face of an image: its box with margin, clipped to the image, in pixels of the full-size image.

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
    """Finds the faces of an image; of use to the thread that made it.

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
        return next((faces[0] for size in SIZES if (faces := self._find(image, size))), None)

    def find_large(self, image: Image.Image) -> DetectedFace | None:
        """The same for faces of at least an eighth of the image's longest side; takes a sixth of the time."""
        return next(iter(self._find(image, SIZES[0])), None)

    def find_all(self, image: Image.Image) -> list[DetectedFace]:
        """Every face of an RGB image down to a twentieth of its longest side, the largest first.

        Where the detector is sure of none, what `find` gives.
        """
        return self._find(image, SIZES[-1], SURE) or list(filter(None, [self.find(image)]))

    def _find(self, image: Image.Image, size: int, threshold: float = 0.0) -> list[DetectedFace]:
        scale = size / max(image.size)
        width, height = (max(1, round(side * scale)) for side in image.size)
        scaled = image.resize((width, height), Image.Resampling.BILINEAR)
        boxes, _, _ = self._detector.run(np.asarray(scaled), 0, threshold)

        def face(box: Any) -> DetectedFace:
            margin = MARGIN * box.width()
            return DetectedFace(
                left=max(0, round((box.left() - margin) / scale)),
                top=max(0, round((box.top() - margin) / scale)),
                right=min(image.width, round((box.right() + margin) / scale)),
                bottom=min(image.height, round((box.bottom() + margin) / scale)),
                found=len(boxes),
            )

        # Of two of the same size the first stays first, as `max` would choose it.
        return [face(box) for box in sorted(boxes, key=lambda box: -box.area())]


_of_thread = local()


def _detector() -> Any:
    """The detector of frontal faces, which takes half a second to make.

    It holds what it is working on, so every thread has its own.
    """
    if not hasattr(_of_thread, "detector"):
        import dlib

        # dlib is a compiled module without type stubs.
        _of_thread.detector = dlib.get_frontal_face_detector()  # pyright: ignore[reportAttributeAccessIssue]
    return _of_thread.detector


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
