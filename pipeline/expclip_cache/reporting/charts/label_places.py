"""Where the names of marks are written so that they cover each other and other marks as little as possible."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

HEIGHT, LETTER = 15.0, 8.2
"""Of a line of bold text, and the width reserved for a letter of it, in pixels."""

GAPS = (3.0, 17.0, 31.0)
"""Between a mark and its name, in pixels."""


class Box(NamedTuple):
    """A rectangle in pixels."""

    left: float
    top: float
    right: float
    bottom: float


def label_places(
    marks: Sequence[tuple[float, float]], names: Sequence[str], radius: float, frame: Box, dots: np.ndarray
) -> list[tuple[float, float, str]]:
    """Where each name goes: x and y of its base line, and which part of the name is at x (start, middle or end).

    A name is right of its mark, left of it, above or below, or further away: where it overlaps marks and the names
    before it least, then where it covers few dots; each pixel further away counts as a dot.

    Args:
        marks: c places in pixels.
        names: of the marks.
        radius: of the marks.
        frame: where names may be.
        dots: (m, 2) places of dots.
    """
    taken = [Box(x - radius, y - radius, x + radius, y + radius) for x, y in marks]
    places = []
    for (x, y), name in zip(marks, names, strict=True):
        ranked = []
        for gap in GAPS:
            for anchor, box in _around(x, y, radius + gap, LETTER * len(name)):
                box = _inside(box, frame)
                ranked.append((sum(_overlap(box, other) for other in taken), _covered(box, dots) + gap, box, anchor))
        _, _, box, anchor = min(ranked, key=lambda found: found[:2])
        taken.append(box)
        at = {"start": box.left, "end": box.right, "middle": (box.left + box.right) / 2}
        places.append((at[anchor], box.bottom - 4, anchor))
    return places


def _covered(box: Box, dots: np.ndarray) -> int:
    return int(((dots > box[:2]) & (dots < box[2:])).all(axis=1).sum())


def _around(x: float, y: float, distance: float, width: float) -> list[tuple[str, Box]]:
    half, middle = width / 2, HEIGHT / 2
    return [
        ("start", Box(x + distance, y - middle, x + distance + width, y + middle)),
        ("end", Box(x - distance - width, y - middle, x - distance, y + middle)),
        ("middle", Box(x - half, y - distance - HEIGHT, x + half, y - distance)),
        ("middle", Box(x - half, y + distance, x + half, y + distance + HEIGHT)),
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
