"""Charts of UAR by test set and of recall by class."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from expclip_cache.reporting.charts.svg import (
    LETTER,
    WIDTH,
    band,
    coordinate,
    dot,
    gain_or_loss,
    rounded,
    svg,
    text,
    vertical_line,
    whisker,
)

Span = tuple[float, float]
"""An interval: low and high."""


class GainRow(NamedTuple):
    """UAR of one test set without and with a head, in percent.

    Attributes:
        name: of the test set.
        clip, expclip: UAR with CLIP and with Exp-CLIP.
        clip_interval, expclip_interval: their intervals over test items, low and high.
        gain, gain_low, gain_high: the difference and its interval, in points.
        std: Exp-CLIP's standard deviation over seeds; 0 for a single head.
    """

    name: str
    clip: float
    clip_interval: Span
    expclip: float
    expclip_interval: Span
    gain: float
    gain_low: float
    gain_high: float
    std: float


def uar_gains(rows: Sequence[GainRow]) -> str:
    """UAR with CLIP and with Exp-CLIP, one line per test set: dots, bands of the intervals, whiskers over the seeds."""
    left, right, step = 16 + LETTER * max(len(row.name) for row in rows), 122, 32
    width, height = WIDTH, step * len(rows) + 48.0
    top = ceiling(max(max(row.clip_interval[1], row.expclip_interval[1], row.expclip + row.std) for row in rows))

    def x(value: float) -> float:
        return left + (width - left - right) * value / top

    body = []
    for tick in range(0, int(top) + 1, 10 if top <= 50 else 20):
        body.append(vertical_line(x(tick), 4, height - 44))
        body.append(text(x(tick), height - 26, f"{tick}", "middle", "faint"))
    body.append(text((x(0) + x(top)) / 2, height - 6, "UAR in percent", "middle", "faint"))
    for number, row in enumerate(rows):
        y = step * number + 20.0
        body.append(text(left - 10, y + 4, row.name, "end"))
        body.append(
            f'<path class="link {gain_or_loss(row.gain)}" '
            f'd="M{coordinate(x(row.clip))} {coordinate(y)}H{coordinate(x(row.expclip))}"/>'
        )
        body.append(band("clip", x(row.clip_interval[0]), x(row.clip_interval[1]), y))
        body.append(band("expclip", x(row.expclip_interval[0]), x(row.expclip_interval[1]), y))
        body.append(dot("clip", x(row.clip), y, 4))
        if row.std:
            body.append(whisker(x(row.expclip - row.std), x(row.expclip + row.std), y))
        body.append(dot("expclip", x(row.expclip), y, 4))
        gain = rounded(row.gain, 1, sign=True)
        body.append(text(width - right + 12, y + 4, gain, "start", "strong"))
        interval = f"[{rounded(row.gain_low, 1)}, {rounded(row.gain_high, 1)}]"
        body.append(text(width - 2, y + 4, interval, "end", "small"))
    label = "UAR in percent, CLIP then Exp-CLIP. " + "; ".join(
        f"{row.name}: {row.clip:.1f} to {row.expclip:.1f}, between {row.gain_low:+.1f} and {row.gain_high:+.1f}"
        for row in rows
    )
    return svg(width, height, label, body)


def recall_bars(
    classes: Sequence[str],
    clip: Sequence[float],
    expclip: Sequence[Sequence[float]],
    clip_intervals: Sequence[Span | None],
    expclip_intervals: Sequence[Span | None],
    names: tuple[str, str] = ("CLIP", "Exp-CLIP"),
    css: tuple[str, str] = ("clip", "expclip"),
) -> str:
    """Recall of each class, CLIP above Exp-CLIP, with whiskers over the intervals.

    Args:
        classes: c names.
        clip: (c,) recall in percent, NaN for a class without test items.
        expclip: (s, c) recall of each head; the bar is their mean, and each of several heads is a dot.
        clip_intervals, expclip_intervals: c intervals over test items, low and high; None without test items.
        names: of the two systems.
        css: classes of their bars.

    A dashed line shows the recall of guessing among the classes.
    """
    heads = np.asarray(expclip, dtype=float)
    mean = heads.mean(axis=0)
    left, right, step = 14 + LETTER * max(map(len, classes)), 44, 40
    width, height, chance = WIDTH, step * len(classes) + 44.0, 100 / len(classes)

    def x(value: float) -> float:
        return left + (width - left - right) * value / 100

    def bar(kind: str, value: float, y: float, interval: Span | None, dots: Sequence[float] = ()) -> list[str]:
        low, high = interval or (value, value)
        return [
            f'<rect class="{kind}" x="{coordinate(x(0))}" y="{coordinate(y)}" '
            f'width="{coordinate(x(value) - x(0))}" height="12"/>',
            # Light around dark, for half of it lies on the bar.
            whisker(x(low), x(high), y + 6, "outline"),
            whisker(x(low), x(high), y + 6),
            *(dot("seed", x(one), y + 6, 2) for one in dots),
            text(x(max(value, high, *dots)) + 5, y + 10.5, f"{value:.0f}", "start", "small"),
        ]

    body = []
    for tick in (0, 25, 50, 75, 100):
        body.append(vertical_line(x(tick), 2, height - 40))
        body.append(text(x(tick), height - 24, f"{tick}", "middle", "faint"))
    body.append(text((x(0) + x(100)) / 2, height - 6, "recall in percent; dashed: chance", "middle", "faint"))
    for number, name in enumerate(classes):
        y = step * number + 6.0
        body.append(text(left - 8, y + 18, name, "end"))
        if math.isnan(clip[number]):
            body.append(text(x(0) + 4, y + 18, "no test items", "start", "faint"))
            continue
        seeds = heads[:, number].tolist() if len(heads) > 1 else []
        body += bar(css[0], clip[number], y, clip_intervals[number])
        body += bar(css[1], mean[number], y + 14, expclip_intervals[number], seeds)
    body.append(f'<path class="chance" d="M{coordinate(x(chance))} 2V{coordinate(height - 40)}"/>')
    label = f"Recall in percent, {names[0]} then {names[1]}. " + "; ".join(
        f"{name}: {a:.0f}, {b:.0f}" for name, a, b in zip(classes, clip, mean, strict=True) if not math.isnan(a)
    )
    return svg(width, height, label, body)


def ceiling(value: float) -> float:
    """The next multiple of ten, at most 100."""
    return min(100.0, 10.0 * math.ceil(max(value, 1.0) / 10))
