"""The square of probes as a heat map, with the zero-shot classifiers below it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import NamedTuple

from expclip_cache.reporting.charts.axis import shortened
from expclip_cache.reporting.charts.svg import LETTER, coordinate, rounded, svg, text

GAP = 8.0
"""Between the square and the rows below it, in pixels."""


class HeatCell(NamedTuple):
    """One cell.

    Attributes:
        uar: in percent.
        title: what is shown while the pointer is on it.
        mark: behind the number.
    """

    uar: float
    title: str
    mark: str


@dataclass(frozen=True)
class HeatRow:
    """One row.

    Attributes:
        name: of what the probes were trained on, or of a zero-shot classifier.
        css: class of its cells: probe, clip or expclip.
        cells: one for each column; None if it is empty.
    """

    name: str
    css: str
    cells: Sequence[HeatCell | None]


def probe_square(test_sets: Sequence[str], square: Sequence[HeatRow], below: Sequence[HeatRow]) -> str:
    """UAR of every cell; the higher, the darker.

    Args:
        test_sets: names of the columns.
        square: a row for each of them; the cells of the diagonal are framed.
        below: further rows.
    """
    columns, rows = [shortened(name) for name in test_sets], [*square, *below]
    names = [shortened(row.name) for row in rows]
    side, digits = (44.0, 1) if len(columns) <= 6 else (34.0, 0)
    left = LETTER * max(map(len, names)) + 14
    head = LETTER * max(map(len, columns)) / math.sqrt(2) + 20
    width = left + side * (len(columns) - 0.5) + max(LETTER * len(columns[-1]) / math.sqrt(2) + 10, side / 2 + 2)
    uars = [cell.uar for row in rows for cell in row.cells if cell]
    low, high = min(uars), max(uars)
    body = [text(left - 8, head - 8, "trained on", "end", "faint"), text(left, 12, "tested on", "start", "faint")]
    for number, name in enumerate(columns):
        place = f"translate({coordinate(left + side * (number + 0.5) + 4)} {coordinate(head - 8)}) rotate(-45)"
        body.append(f'<text transform="{place}">{escape(name)}</text>')
    for number, row in enumerate(rows):
        y = head + side * number + (GAP if number >= len(square) else 0)
        body.append(text(left - 8, y + side / 2 + 4, names[number], "end"))
        for column, cell in enumerate(row.cells):
            x = left + side * column
            if cell:
                opacity = 0.1 + 0.65 * (cell.uar - low) / max(high - low, 1.0)
                shade = f' fill-opacity="{opacity:.3f}"'
                body.append(_rectangle(f"heat {row.css}", x, y, side - 1, shade, cell.title))
                shown = rounded(cell.uar, digits) + cell.mark
                body.append(text(x + side / 2 - 0.5, y + side / 2 + 4, shown, "middle", "cell"))
            if number == column and number < len(square):
                body.append(_rectangle("cross", x, y, side - 1))
    label = "UAR of linear probes in percent. " + "; ".join(
        f"{row.name}: " + ", ".join(rounded(cell.uar, 1) if cell else "none" for cell in row.cells) for row in rows
    )
    return svg(width, head + side * len(rows) + GAP + 2, label, body)


def _rectangle(css: str, x: float, y: float, side: float, more: str = "", title: str = "") -> str:
    inside = f"<title>{escape(title)}</title>" if title else ""
    sides = f'width="{coordinate(side)}" height="{coordinate(side)}"'
    return f'<rect class="{css}" x="{coordinate(x)}" y="{coordinate(y)}" {sides}{more}>{inside}</rect>'
