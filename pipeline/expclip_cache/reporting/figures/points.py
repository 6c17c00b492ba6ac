"""Scores of CLIP and Exp-CLIP as points with their intervals, a line for each test set or class."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from expclip_cache.reporting.figures.style import CLIP, COLUMN, EXPCLIP, FAINT, new_figure, open_frame
from expclip_cache.statistics import Interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LINE = 0.24
"""Inches of a line."""

APART = 0.14
"""How far CLIP stands above the middle of a line and Exp-CLIP below it, as a share of the line."""


@dataclass(frozen=True)
class Point:
    """A score in percent, or a difference in points, and its interval if it is known; NaN: there is no such score."""

    value: float
    interval: Interval | None = None


def lines_figure(names: Sequence[str], label: str) -> "tuple[Figure, Axes]":
    """An empty figure as wide as a column, with a line for each name and a labelled horizontal axis."""
    figure, (axes,) = new_figure(COLUMN, 0.7 + LINE * len(names))
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel(label)
    axes.grid(axis="x")
    open_frame(axes)
    return figure, axes


def draw_point(axes: "Axes", height: float, point: Point, *, filled: bool) -> None:
    """A point with a whisker: Exp-CLIP's is filled and dark, plain CLIP's open and light."""
    colour = EXPCLIP if filled else CLIP
    if point.interval:
        axes.plot(
            [point.interval.low, point.interval.high],
            [height, height],
            color=colour,
            solid_capstyle="butt",
            clip_on=False,
        )
    face = colour if filled else "white"
    axes.plot(
        point.value,
        height,
        marker="o",
        markersize=4,
        color=colour,
        markerfacecolor=face,
        linestyle="none",
        clip_on=False,
    )


def pairs_figure(
    names: Sequence[str], clip: Sequence[Point], expclip: Sequence[Point], label: str, chance: float | None = None
) -> "Figure":
    """CLIP and Exp-CLIP on each line.

    Args:
        names: of the lines.
        clip, expclip: a point for each line.
        label: of the axis, which ends at 100 or at the next ten above all points.
        chance: where a dashed line stands.
    """
    figure, axes = lines_figure(names, label)
    ends = [point.interval.high if point.interval else point.value for point in (*clip, *expclip)]
    axes.set_xlim(0, min(100.0, 10.0 * math.ceil(max(end for end in ends if not math.isnan(end)) / 10 + 0.1)))
    if chance is not None:
        axes.axvline(chance, color=FAINT, linestyle=(0, (3, 3)), linewidth=0.8, label="chance")
    for line, (plain, head) in enumerate(zip(clip, expclip, strict=True)):
        if math.isnan(plain.value):
            axes.text(1, line, "no test items", color=FAINT, va="center")
            continue
        draw_point(axes, line - APART, plain, filled=False)
        draw_point(axes, line + APART, head, filled=True)
    draw_legend(figure, axes)
    return figure


def draw_legend(figure: "Figure", axes: "Axes") -> None:
    """Above the axes, what the two kinds of points are, and the dashed line if there is one."""
    (clip,) = axes.plot([], [], color=CLIP, markerfacecolor="white", marker="o", markersize=4)
    (expclip,) = axes.plot([], [], color=EXPCLIP, marker="o", markersize=4)
    chance = [line for line in axes.lines if line.get_label() == "chance"]
    figure.legend(
        [clip, expclip, *chance],
        ["CLIP", "Exp-CLIP", *("chance" for _ in chance)],
        loc="outside upper center",
        ncols=3,
        borderaxespad=0.2,
        handlelength=1.6,
        columnspacing=1.2,
    )
