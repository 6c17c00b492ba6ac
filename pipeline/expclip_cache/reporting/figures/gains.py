"""What the head gains over plain CLIP on each test set."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from expclip_cache.reporting.charts.svg import rounded
from expclip_cache.reporting.figures.points import Point, draw_point, lines_figure
from expclip_cache.reporting.figures.style import FAINT, SMALL

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def gains_figure(names: Sequence[str], gains: Sequence[Point]) -> "Figure":
    """The gain in UAR with its interval, as a point and as a number.

    Args:
        names: of the test sets.
        gains: of each, in points.
    """
    figure, axes = lines_figure(names, "gain in UAR over CLIP, points")
    axes.axvline(0, color=FAINT, linewidth=0.8)
    for line, gain in enumerate(gains):
        draw_point(axes, line, gain, filled=True)
        axes.annotate(
            gain_in_words(gain),
            (1, line),
            xytext=(4, 0),
            xycoords=("axes fraction", "data"),
            textcoords="offset points",
            va="center_baseline",
            fontsize=SMALL,
        )
    return figure


def gain_in_words(gain: Point) -> str:
    """The number and its interval.

    >>> gain_in_words(Point(-0.31))
    '−0.3'
    """
    words = rounded(gain.value, 1, sign=True)
    if gain.interval:
        words += f" [{rounded(gain.interval.low, 1)}, {rounded(gain.interval.high, 1)}]"
    return words.replace("-", "\N{MINUS SIGN}")
