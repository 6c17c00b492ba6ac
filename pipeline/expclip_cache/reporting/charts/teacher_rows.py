"""The teachers compared: mean UAR of each row with its interval, the best first, and the score to choose by."""

from collections.abc import Sequence
from typing import NamedTuple

from expclip_cache.reporting.charts.axis import LONGEST_LABEL, rounded_range, shortened
from expclip_cache.reporting.charts.svg import (
    LETTER,
    WIDTH,
    coordinate,
    dot,
    rounded,
    svg,
    text,
    vertical_line,
    whisker,
)

STEP = 26
"""From row to row, in pixels."""


class TeacherMark(NamedTuple):
    """One row.

    Attributes:
        name: of the teacher and state.
        uar, low, high: mean UAR in percent and its interval.
        agreement: in percent; None if there is none.
        chosen: whether the row has a ring.
        by_set: UAR on each test set, as small dots.
    """

    name: str
    uar: float
    low: float
    high: float
    agreement: float | None
    chosen: bool
    by_set: Sequence[float]


def teacher_rows(rows: Sequence[TeacherMark], clip: float) -> str:
    """A line for each row: UAR to the right, agreement in a column beside it; plain CLIP is dashed.

    Args:
        rows: in the order from top to bottom.
        clip: mean UAR of plain CLIP, in percent.
    """
    names = [row.name if len(row.name) <= LONGEST_LABEL + 8 else shortened(row.name) for row in rows]
    left, right, top = 20 + LETTER * max(map(len, names)), 84.0, 22.0
    width, base = max(WIDTH, left + right + 190), top + STEP * len(rows)
    shown = [value for row in rows for value in (row.low, row.high, *row.by_set)]
    low, high, ticks = rounded_range(min(*shown, clip), max(*shown, clip))

    def x(value: float) -> float:
        return left + (width - left - right) * (value - low) / (high - low)

    body = [text(width - 2, 12, "agreement", "end", "faint")]
    for tick in ticks:
        body += [vertical_line(x(tick), top, base), text(x(tick), base + 16, f"{tick:g}", "middle", "faint")]
    body.append(f'<path class="chance" d="M{coordinate(x(clip))} {coordinate(top)}V{coordinate(base)}"/>')
    label = "UAR in percent; dashed: plain CLIP"
    body.append(text((x(low) + x(high)) / 2, base + 36, label, "middle", "faint"))
    for number, row in enumerate(rows):
        y = top + STEP * (number + 0.5)
        body.append(text(left - 14, y + 4, names[number], "end", "strong" if row.chosen else ""))
        body += [dot("head", x(uar), y, 2) for uar in row.by_set]
        body.append(whisker(x(row.low), x(row.high), y))
        if row.chosen:
            body.append(dot("ring", x(row.uar), y, 9))
        body.append(dot("expclip", x(row.uar), y, 4))
        if row.agreement is not None:
            body.append(text(width - 2, y + 4, rounded(row.agreement, 1), "end", "strong" if row.chosen else ""))
    spoken = "; ".join(
        f"{row.name}: {row.uar:.1f}, interval {row.low:.1f} to {row.high:.1f}"
        + ("" if row.agreement is None else f", agreement {row.agreement:.1f}")
        + (" (chosen)" if row.chosen else "")
        for row in rows
    )
    return svg(width, base + 44, f"Mean UAR in percent by teacher. {spoken}; plain CLIP: {clip:.1f}", body)
