"""One thing to draw, and what is done with points and colours before."""

from dataclasses import dataclass

from expclip_cache.demo.drawing.identity import Colour

Point = tuple[float, float]
"""x to the right, y down, in pixels of a 64-pixel frame; the origin lies between eyes and nose tip."""


@dataclass(frozen=True)
class Shape:
    """One thing to draw.

    Attributes:
        points: control points of a smooth curve.
        colour: its fill, or the line's colour.
        closed: a filled area (True) or a line (False).
        width: line width in pixels of the 64-pixel frame; for an area, its outline's in line drawings.
        on_face: turns with the head; otherwise only moves with it.
        ink: shown in line drawings.
    """

    points: list[Point]
    colour: Colour
    closed: bool = True
    width: float = 0.5
    on_face: bool = True
    ink: bool = True


def mix(one: Colour, other: Colour, share: float) -> Colour:
    """`share` of `other` in `one`, rounded."""
    share = min(1.0, max(0.0, share))
    return tuple(round(a + (b - a) * share) for a, b in zip(one, other, strict=True))


def mirrored(points: list[Point], side: float) -> list[Point]:
    """The points on the right (side 1) or their mirror image on the left (side -1)."""
    return [(x * side, y) for x, y in points]
