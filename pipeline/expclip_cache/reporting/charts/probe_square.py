"""The square of probes as a heat map, with the zero-shot classifiers below it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from expclip_cache.reporting.charts.axis import shortened
from expclip_cache.reporting.charts.svg import LETTER, coordinate, rounded, svg, text

GAP = 8.0
"""Between the square and the rows below it, in pixels."""


@dataclass(frozen=True)
class HeatRow:
    """One row.

    Attributes:
        name: of what the probes were trained on, or of a zero-shot classifier.
        css: class of its cells: probe, clip or expclip.
        uars: in percent, one for each column; None for an empty cell.
        titles: what is shown while the pointer is on a cell.
    """

    name: str
    css: str
    uars: Sequence[float | None]
    titles: Sequence[str]


def probe_square(test_sets: Sequence[str], square: Sequence[HeatRow], below: Sequence[HeatRow]) -> str:
    """UAR of every cell in whole percent; the higher, the darker.

    Args:
        test_sets: names of the columns.
        square: a row for each of them; the cells of the diagonal are framed.
        below: further rows.
    """
    columns, rows = [shortened(name) for name in test_sets], [*square, *below]
    names = [shortened(row.name) for row in rows]
    cell = 44.0 if len(columns) <= 6 else 34.0
    left = LETTER * max(map(len, names)) + 14
    head = LETTER * max(map(len, columns)) / math.sqrt(2) + 20
    width = left + cell * (len(columns) - 0.5) + max(LETTER * len(columns[-1]) / math.sqrt(2) + 10, cell / 2 + 2)
    uars = [uar for row in rows for uar in row.uars if uar is not None]
    low, high = min(uars), max(uars)
    body = [text(left - 8, head - 8, "trained on", "end", "faint"), text(left, 12, "tested on", "start", "faint")]
    for number, name in enumerate(columns):
        place = f"translate({coordinate(left + cell * (number + 0.5) + 4)} {coordinate(head - 8)}) rotate(-45)"
        body.append(f'<text transform="{place}">{escape(name)}</text>')
    for number, row in enumerate(rows):
        y = head + cell * number + (GAP if number >= len(square) else 0)
        body.append(text(left - 8, y + cell / 2 + 4, names[number], "end"))
        for column, (uar, title) in enumerate(zip(row.uars, row.titles, strict=True)):
            x = left + cell * column
            if uar is not None:
                opacity = 0.1 + 0.65 * (uar - low) / max(high - low, 1.0)
                body.append(_rectangle(f"heat {row.css}", x, y, cell - 1, f' fill-opacity="{opacity:.3f}"', title))
                body.append(text(x + cell / 2 - 0.5, y + cell / 2 + 4, rounded(uar), "middle", "cell"))
            if row in square and column == number:
                body.append(_rectangle("cross", x, y, cell - 1))
    label = "UAR of linear probes in percent. " + "; ".join(
        f"{row.name}: " + ", ".join("none" if uar is None else rounded(uar) for uar in row.uars) for row in rows
    )
    return svg(width, head + cell * len(rows) + GAP + 2, label, body)


def _rectangle(css: str, x: float, y: float, side: float, more: str = "", title: str = "") -> str:
    inside = f"<title>{escape(title)}</title>" if title else ""
    sides = f'width="{coordinate(side)}" height="{coordinate(side)}"'
    return f'<rect class="{css}" x="{coordinate(x)}" y="{coordinate(y)}" {sides}{more}>{inside}</rect>'
