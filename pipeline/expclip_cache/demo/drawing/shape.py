"""A shape to draw, and operations on points and colours."""

from collections.abc import Sequence
from dataclasses import dataclass

from expclip_cache.demo.drawing.person import Colour

Point = tuple[float, float]
"""x to the right and y down, in pixels of a 64-pixel frame; the origin is between the eyes and the tip of the nose."""


@dataclass(frozen=True)
class Shape:
    """One area or line to draw.

    Attributes:
        points: control points of a smooth curve.
        colour: of the area or line.
        closed: whether it is a filled area; otherwise it is a line.
        width: of the line, in pixels of the 64-pixel frame; for an area, of its outline in line drawings.
        on_face: whether it rotates with the head; otherwise it only moves with it.
        ink: whether line drawings show it.
    """

    points: list[Point]
    colour: Colour
    closed: bool = True
    width: float = 0.5
    on_face: bool = True
    ink: bool = True


def mix(one: Colour, other: Colour, share: float) -> Colour:
    """Blend two colours; `share` is that of `other`, clamped to [0, 1]."""
    share = min(1.0, max(0.0, share))
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    return red, green, blue


def mirrored(points: Sequence[Point], side: float) -> list[Point]:
    """The points themselves (side 1), or their mirror image in the other half of the face (side -1)."""
    return [(x * side, y) for x, y in points]
