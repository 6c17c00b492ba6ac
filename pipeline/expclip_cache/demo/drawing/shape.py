"""A shape to draw, for n faces at once, and operations on points and colours."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

Number = float | np.ndarray
"""The same for all faces, or (n,) float64 with one value for each."""

Point = tuple[Number, Number]
"""x to the right and y down, in pixels of a 64-pixel frame; the origin is between the eyes and the tip of the nose."""

Colours = Sequence[int] | np.ndarray
"""Red, green and blue from 0 to 255: (3,) for all faces, or (n, 3)."""


@dataclass(frozen=True)
class Shape:
    """One area or line to draw in every face that has it.

    Attributes:
        points: control points of a smooth curve.
        colour: of the area or line.
        closed: whether it is a filled area; otherwise it is a line.
        width: of the line, in pixels of the 64-pixel frame; for an area, of its outline in line drawings.
        on_face: whether it rotates with the head; otherwise it only moves with it.
        ink: whether line drawings show it; for all faces, or (n,) bool.
        shown: whether a face has it; for all faces, or (n,) bool.
    """

    points: Sequence[Point]
    colour: Colours
    closed: bool = True
    width: Number = 0.5
    on_face: bool = True
    ink: bool | np.ndarray = True
    shown: bool | np.ndarray = True

    def mirrored(self) -> "Shape":
        """The same shape in the other half of the face."""
        return replace(self, points=[(-x, y) for x, y in self.points])


def mix(one: Colours, other: Colours, share: Number) -> np.ndarray:
    """Blend two colours; `share` is that of `other`, clamped to [0, 1]. Returns whole numbers, float64."""
    start = np.asarray(one, np.float64)
    return np.rint(start + (other - start) * np.clip(share, 0.0, 1.0)[..., None])


def both_sides(right: Iterable[Shape]) -> Iterator[Shape]:
    """Shapes of one half of the face (x > 0), after their mirror images in the other half."""
    shapes = list(right)
    yield from (shape.mirrored() for shape in shapes)
    yield from shapes
