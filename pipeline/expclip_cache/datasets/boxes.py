"""The box of a face in an image."""

from collections.abc import Mapping
from math import isfinite

Box = tuple[int, int, int, int]
"""Left, top, right, bottom, in pixels of the image as it is taken (see `Appearance`); right and bottom are outside."""

NO_FACE: Box = (0, 0, 0, 0)
"""The box of an image in which there is no face."""


def box_of(left: float, top: float, right: float, bottom: float) -> Box:
    """A box from edges that may be fractions or outside the image; `NO_FACE` if nothing is left of it.

    >>> box_of(-3.0, 2.4, 10.0, 12.0), box_of(5, 5, 5, 9)
    ((0, 2, 10, 12), (0, 0, 0, 0))
    """
    edges = left, top, right, bottom
    if not all(map(isfinite, edges)):
        return NO_FACE
    left, top, right, bottom = (max(0, round(edge)) for edge in edges)
    return (left, top, right, bottom) if left < right and top < bottom else NO_FACE


def listed_box(columns: Mapping[str, str], entry: Mapping[str, str]) -> Box:
    """The box in a row of a table.

    Args:
        columns: left, top, and right and bottom or width and height -> name of the column.
        entry: the row.

    Raises:
        KeyError: a column is not there.
        ValueError: one holds no number.
    """
    values = {edge: float(entry[column]) for edge, column in columns.items()}
    right = values["right"] if "right" in values else values["left"] + values["width"]
    bottom = values["bottom"] if "bottom" in values else values["top"] + values["height"]
    return box_of(values["left"], values["top"], right, bottom)
