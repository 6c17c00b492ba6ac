"""Confusion matrices of CLIP and Exp-CLIP, and their difference."""

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

NAMES = 1.0
"""Inches for the names of the classes, beside and below."""


def confusion_figure(classes: Sequence[str], clip: np.ndarray, expclip: np.ndarray) -> "Figure":
    """Three matrices side by side, as wide as a page; rows are the true class.

    In the difference, blue is for the better, that is more on the diagonal or less off it, and orange for the worse.

    Args:
        classes: c names.
        clip, expclip: (c, c) percent of the true class, each row summing to 100; a row of NaN stays empty.
    """
    from matplotlib.colors import LinearSegmentedColormap

    figure, (left, middle, right) = new_figure(PAGE, (PAGE - NAMES) / 3 + NAMES + 0.1, columns=3)
    shades = LinearSegmentedColormap.from_list("percent", ["white", EXPCLIP])
    _matrix(left, classes, clip, clip / 100, shades)
    _matrix(middle, classes, expclip, expclip / 100, shades)
    change = expclip - clip
    better = np.where(np.eye(len(classes), dtype=bool), change, -change)
    largest = max(float(np.nanmax(np.abs(change))), 1.0)
    signed = LinearSegmentedColormap.from_list("change", [WORSE, "white", BETTER])
    _matrix(right, classes, change, 0.5 + 0.5 * better / largest, signed, sign=True)
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
    *,
    sign: bool = False,
) -> None:
    """One matrix: `values` as numbers, `shade` in 0 to 1 as colour; numbers that round to 0 are left out."""
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
        if abs(value) >= 0.5:
            colour = "white" if _luminance(shades(float(shade[row, column]))) < 0.45 else INK
            shown = rounded(value, sign=sign).replace("-", "\N{MINUS SIGN}")
            axes.text(
                column + 0.5,
                row + 0.5,
                shown,
                color=colour,
                fontsize=SMALL - (c > 8),
                ha="center",
                va="center_baseline",
            )


def _luminance(colour: Sequence[float]) -> float:
    """Of a colour (red, green, blue, ...), as grey printing shows it: 0 is black, 1 is white."""
    return float(np.dot(colour[:3], (0.299, 0.587, 0.114)))
