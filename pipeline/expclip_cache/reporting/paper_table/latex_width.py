"""In which size of type a LaTeX table fits a page of two columns."""

import re
from collections.abc import Sequence
from typing import NamedTuple

COLUMN, PAGE = 237.0, 496.0
"""Points of one column and of the text of a page with two, in the styles of IEEE and CVF."""

SIZES = {"small": 9.0, "footnotesize": 8.0, "scriptsize": 7.0}
"""Sizes of type in a document of 10 points, in points."""

LETTER = 0.52
"""Mean width of a character, relative to the size of type: digits are 0.5 wide, bold ones 0.575."""


class Layout(NamedTuple):
    """The environment, the command for the size of type, and half the gap between two columns in points."""

    environment: str
    size: str
    gap: float


def layout_for(rows: Sequence[Sequence[str]]) -> Layout:
    """The largest type in which the cells fit one column, or else the page; the smallest one if they fit neither."""
    widths = [max(_characters(cell) for cell in column) for column in zip(*rows, strict=True)]
    for environment, room, sizes in (("table", COLUMN, ("small", "footnotesize")), ("table*", PAGE, tuple(SIZES))):
        for size in sizes:
            for gap in (4.0, 2.0):
                if sum(LETTER * SIZES[size] * width + 2 * gap for width in widths) <= room:
                    return Layout(environment, size, gap)
    return Layout("table*", "scriptsize", 2.0)


def _characters(cell: str) -> float:
    """How many characters of a cell are seen; one of bold type counts as 1.15, a small one as 0.85."""
    bold = sum(len(text) for text in re.findall(r"\\textbf\{([^}]*)\}", cell))
    small = sum(len(_seen(text)) for text in re.findall(r"\{\\scriptsize(.*?)\}", cell))
    return len(_seen(cell)) + 0.15 * bold - 0.15 * small


def _seen(cell: str) -> str:
    return re.sub(r"\$\^\{\\dagger\}\$|\$\\pm\$", "+", re.sub(r"\\(textbf|scriptsize|[a-z]+\{\})", "", cell)).translate(
        {ord(mark): None for mark in "{}\\$"}
    )
