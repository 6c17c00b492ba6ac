"""Finding the face in a photo: dlib's frontal face detector, which carries its model inside and needs no download."""

from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np
from PIL import Image

from expclip_cache.base import EncoderError

SIZES = (640, 1600)
"""Longest side of the picture the detector sees, in pixels, one after the other until a face is found. It finds faces
from 80 pixels on: the first size is quick, the second finds faces from a twentieth of the picture's longest side."""

MARGIN = 0.2
"""Room around the detector's box, which ends at brows and chin, on each side as a share of the box."""


@dataclass(frozen=True)
class Face:
    """The largest face of a picture, with margin, cut to the picture; pixels of the full-size picture.

    Attributes:
        found: how many faces there are.
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
    """Finds the largest face of a picture."""

    def __init__(self) -> None:
        if not can_find_faces():
            raise EncoderError(
                "no face detector is installed. Install it (pip install 'expclip-cache[face]'), "
                "or give faces that are cut out already and --no-crop."
            )
        import dlib

        self._detector = dlib.get_frontal_face_detector()

    def find(self, picture: Image.Image) -> Face | None:
        """The largest face of an RGB picture, or None."""
        for size in SIZES:
            scale = size / max(picture.size)
            small = picture.resize([max(1, round(side * scale)) for side in picture.size], Image.Resampling.BILINEAR)
            boxes, _, _ = self._detector.run(np.asarray(small), 0, 0.0)
            if boxes:
                largest = max(boxes, key=lambda box: box.area())
                margin = MARGIN * largest.width()
                left, top = largest.left() - margin, largest.top() - margin
                right, bottom = largest.right() + margin, largest.bottom() + margin
                return Face(
                    max(0, round(left / scale)),
                    max(0, round(top / scale)),
                    min(picture.width, round(right / scale)),
                    min(picture.height, round(bottom / scale)),
                    len(boxes),
                )
        return None
