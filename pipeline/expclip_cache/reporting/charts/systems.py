"""A chart of UAR by test set with a dot for each of several systems."""

from collections.abc import Sequence
from typing import NamedTuple

from expclip_cache.reporting.charts.scores import Span, ceiling
from expclip_cache.reporting.charts.svg import LETTER, WIDTH, band, coordinate, dot, svg, text, vertical_line

APART = 15.0
"""Pixels between the lines of two systems."""


class Mark(NamedTuple):
    """UAR of one system on one test set.

    Attributes:
        name: of the system.
        css: class of the dot.
        uar: in percent.
        interval: over test items.
    """

    name: str
    css: str
    uar: float
    interval: Span


def systems_chart(rows: Sequence[tuple[str, Sequence[Mark]]]) -> str:
    """One line per system, grouped by test set: dots, and bands of the intervals.

    Args:
        rows: name of a test set -> the systems, the same ones for each.
    """
    left, right = 16 + LETTER * max(len(name) for name, _ in rows), 40
    step = APART * len(rows[0][1]) + 12
    width, height = WIDTH, step * len(rows) + 48.0
    top = ceiling(max(mark.interval[1] for _, marks in rows for mark in marks))

    def x(value: float) -> float:
        return left + (width - left - right) * value / top

    body = []
    for tick in range(0, int(top) + 1, 10 if top <= 50 else 20):
        body.append(vertical_line(x(tick), 4, height - 44))
        body.append(text(x(tick), height - 26, f"{tick}", "middle", "faint"))
    body.append(text((x(0) + x(top)) / 2, height - 6, "UAR in percent", "middle", "faint"))
    for number, (name, marks) in enumerate(rows):
        y = step * number + 14.0
        body.append(text(left - 10, y + APART * (len(marks) - 1) / 2 + 4, name, "end"))
        if number:
            body.append(f'<path class="grid" d="M{coordinate(left)} {coordinate(y - 13)}H{coordinate(width)}"/>')
        for place, mark in enumerate(marks):
            middle = y + APART * place
            body.append(band(mark.css, x(mark.interval[0]), x(mark.interval[1]), middle))
            body.append(dot(mark.css, x(mark.uar), middle, 4))
            body.append(text(width - 2, middle + 4, f"{mark.uar:.1f}", "end", "small"))
    label = "UAR in percent. " + "; ".join(
        f"{name}: {', '.join(f'{mark.name} {mark.uar:.1f}' for mark in marks)}" for name, marks in rows
    )
    return svg(width, height, label, body)
