"""A confusion matrix as a heat map."""

import math
from collections.abc import Sequence
from html import escape
from itertools import product

import numpy as np

from expclip_cache.reporting.charts.svg import LETTER, coordinate, gain_or_loss, rounded, svg, text


def confusion_heatmap(
    classes: Sequence[str], percent: np.ndarray, title: str, *, difference: bool = False, right: str = "expclip"
) -> str:
    """A confusion matrix: rows are the true class, columns the predicted class.

    Args:
        classes: c names.
        percent: (c, c) percent of the true class, each row summing to 100; with `difference`, one such matrix minus
            another, in points. A row of NaN stays empty.
        title: whose matrix it is.
        right: CSS class of the diagonal.
        difference: colour by what the change means: more on the diagonal is for the better, more off it for the worse.
    """
    c, longest = len(classes), LETTER * max(map(len, classes))
    left, head = longest + 12, longest / math.sqrt(2) + 18
    cell = 36.0 if c <= 8 else 29.0
    # The last column's name is slanted and extends beyond the right edge of its cell.
    width = left + cell * (c - 0.5) + max(LETTER * len(classes[-1]) / math.sqrt(2) + 10, cell / 2 + 2)
    height = head + cell * c + 2
    largest = max(float(np.nanmax(np.abs(percent))), 1.0) if difference else 100.0
    body = [text(left - 8, head - 8, "true", "end", "faint")]
    for number, name in enumerate(classes):
        middle = left + cell * (number + 0.5)
        place = f'transform="translate({coordinate(middle + 4)} {coordinate(head - 8)}) rotate(-45)"'
        body.append(f"<text {place}>{escape(name)}</text>")
        body.append(text(left - 8, head + cell * (number + 0.5) + 4, name, "end"))
    for row, column in product(range(c), range(c)):
        value = float(percent[row, column])
        if math.isnan(value):
            continue
        x, y = left + cell * column, head + cell * row
        better = value if row == column else -value
        css = gain_or_loss(better) if difference else right if row == column else "clip"
        opacity = 0.75 * min(abs(value) / largest, 1.0)
        unit = f"{rounded(value, 1, sign=True)} points" if difference else f"{value:.1f} %"
        body.append(
            f'<rect class="heat {css}" x="{coordinate(x)}" y="{coordinate(y)}" width="{coordinate(cell - 1)}" '
            f'height="{coordinate(cell - 1)}" fill-opacity="{opacity:.3f}"><title>'
            f"{escape(classes[row])} predicted as {escape(classes[column])}: {unit}</title></rect>"
        )
        if abs(value) >= 0.5:
            shown = rounded(value, sign=difference)
            body.append(text(x + cell / 2 - 0.5, y + cell / 2 + 4, shown, "middle", "cell"))
    body.append(
        f'<rect class="frame" x="{coordinate(left - 0.5)}" y="{coordinate(head - 0.5)}" '
        f'width="{coordinate(cell * c)}" height="{coordinate(cell * c)}"/>'
    )
    diagonal = [f"{name} {rounded(percent[k, k])}" for k, name in enumerate(classes) if not math.isnan(percent[k, k])]
    unit = "points" if difference else "percent"
    return svg(width, height, f"{title}, {unit} on the diagonal: {', '.join(diagonal)}", body)
