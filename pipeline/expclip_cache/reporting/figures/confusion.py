"""Confusion matrices of CLIP and Exp-CLIP, and their difference."""

import math
from collections.abc import Sequence
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from expclip_cache.reporting.charts.svg import rounded
from expclip_cache.reporting.figures.style import BETTER, EXPCLIP, FAINT, INK, PAGE, SMALL, WORSE, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

LETTER = 0.062
"""Inches that a letter of a class takes, beside and below the matrices."""

LABELS, GAPS = 0.3, 0.3
"""Inches for the label of an axis or the titles, and for what is between the matrices."""


def confusion_figure(classes: Sequence[str], clip: np.ndarray, expclip: np.ndarray) -> "Figure":
    """Three matrices side by side, as wide as a page; rows are the true class.

    In the difference, blue is for the better, that is more on the diagonal or less off it, and orange for the worse.

    Args:
        classes: c names.
        clip, expclip: (c, c) percent of the true class, each row summing to 100; a row of NaN stays empty.
    """
    from matplotlib.colors import LinearSegmentedColormap

    names = LETTER * max(map(len, classes))
    side = (PAGE - LABELS - names - GAPS) / 3
    figure, (left, middle, right) = new_figure(PAGE, side + names + 2 * LABELS + 0.1, columns=3)
    size = min(SMALL, 0.43 * 72 * side / len(classes))
    shades = LinearSegmentedColormap.from_list("percent", ["white", EXPCLIP])
    _matrix(left, classes, clip, clip / 100, shades, size)
    _matrix(middle, classes, expclip, expclip / 100, shades, size)
    change = expclip - clip
    better = np.where(np.eye(len(classes), dtype=bool), change, -change)
    largest = max(float(np.nanmax(np.abs(change))), 1.0)
    signed = LinearSegmentedColormap.from_list("change", [WORSE, "white", BETTER])
    _matrix(right, classes, change, 0.5 + 0.5 * better / largest, signed, size, sign=True)
    left.set_title("CLIP, %")
    middle.set_title("Exp-CLIP, %")
    right.set_title("Exp-CLIP minus CLIP, points")
    left.set_ylabel("true class")
    middle.set_xlabel("predicted class")
    return figure


def _matrix(
    axes: "Axes",
    classes: Sequence[str],
    values: np.ndarray,
    shade: np.ndarray,
    shades: "Colormap",
    size: float,
    *,
    sign: bool = False,
) -> None:
    """One matrix: `values` as numbers, `shade` in 0 to 1 as colour. Numbers that round to 0 are left out."""
    c = len(classes)
    axes.pcolormesh(shade, cmap=shades, vmin=0, vmax=1, edgecolors="white", linewidth=0.5)
    axes.set_aspect("equal")
    axes.set(xlim=(0, c), ylim=(c, 0))
    places = np.arange(c) + 0.5
    axes.set_xticks(places, classes, rotation=90)
    axes.set_yticks(places, classes)
    axes.tick_params(length=0)
    axes.spines[:].set_color(FAINT)
    for row, column in product(range(c), range(c)):
        value = float(values[row, column])
        if not math.isnan(value) and round(value):
            shown = rounded(value, sign=sign).replace("-", "\N{MINUS SIGN}")
            colour = "white" if _luminance(shades(float(shade[row, column]))) < 0.5 else INK
            axes.text(column + 0.5, row + 0.5, shown, color=colour, fontsize=size, ha="center", va="center_baseline")


def _luminance(colour: Sequence[float]) -> float:
    """Of a colour (red, green, blue, ...), as grey printing shows it: 0 is black, 1 is white."""
    return float(np.dot(colour[:3], (0.299, 0.587, 0.114)))
