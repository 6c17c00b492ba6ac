"""Where the names of marks are written so that they cover each other and other marks as little as possible."""

from collections.abc import Sequence
from typing import NamedTuple

from expclip_cache.reporting.charts.svg import LETTER

HEIGHT = 15.0
"""Of a line of text in pixels."""


class Box(NamedTuple):
    """A rectangle in pixels."""

    left: float
    top: float
    right: float
    bottom: float


def label_places(
    marks: Sequence[tuple[float, float]], names: Sequence[str], radius: float, frame: Box
) -> list[tuple[float, float]]:
    """The left end of each name's base line, beside its mark and inside the frame.

    Each name takes the place of the least overlap with marks and with the names before it: right of the mark, left,
    above, below, then the same further away.
    """
    taken = [Box(x - radius, y - radius, x + radius, y + radius) for x, y in marks]
    places = []
    for (x, y), name in zip(marks, names, strict=True):
        width = LETTER * len(name)
        boxes = [_inside(box, frame) for gap in (3.0, 17.0, 31.0) for box in _around(x, y, radius + gap, width)]
        best = min(boxes, key=lambda box: sum(_overlap(box, other) for other in taken))
        taken.append(best)
        places.append((best.left, best.bottom - 4))
    return places


def _around(x: float, y: float, distance: float, width: float) -> list[Box]:
    half, middle = width / 2, HEIGHT / 2
    return [
        Box(x + distance, y - middle, x + distance + width, y + middle),
        Box(x - distance - width, y - middle, x - distance, y + middle),
        Box(x - half, y - distance - HEIGHT, x + half, y - distance),
        Box(x - half, y + distance, x + half, y + distance + HEIGHT),
    ]


def _inside(box: Box, frame: Box) -> Box:
    """The box moved into the frame; one that is wider than the frame starts at its left edge."""
    width, height = box.right - box.left, box.bottom - box.top
    left = max(min(box.left, frame.right - width), frame.left)
    top = max(min(box.top, frame.bottom - height), frame.top)
    return Box(left, top, left + width, top + height)


def _overlap(one: Box, other: Box) -> float:
    width = min(one.right, other.right) - max(one.left, other.left)
    height = min(one.bottom, other.bottom) - max(one.top, other.top)
    return max(width, 0.0) * max(height, 0.0)
