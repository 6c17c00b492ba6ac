"""UAR of few-shot probes over the number of items a class, with lines for zero-shot classifiers."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from expclip_cache.reporting.charts.axis import rounded_range, shortened
from expclip_cache.reporting.charts.svg import LETTER, WIDTH, coordinate, dot, svg, text

APART = 13.0
"""Least distance between the names of two lines, in pixels."""


@dataclass(frozen=True)
class Shots:
    """UAR of a probe in percent, mean and standard deviation over the draws."""

    shots: int
    uar: float
    std: float


def few_shot_curve(test_set: str, probes: Sequence[Shots], every: float | None, zero_shot: dict[str, float]) -> str:
    """A curve for the probe on a logarithmic scale, and a level line for each zero-shot classifier.

    Args:
        test_set: what was tested, for the description.
        probes: by ascending number of shots.
        every: UAR of the probe on all items of the training set; None if there is none.
        zero_shot: name -> UAR; plain CLIP first.
    """
    names = {name: shortened(name) for name in zero_shot}
    width, height, left, base = WIDTH, 260.0, 40.0, 218.0
    right = 16 + LETTER * max(map(len, names.values()))
    shown = [end for one in probes for end in (one.uar - one.std, one.uar + one.std)]
    shown += [*zero_shot.values(), *([] if every is None else [every])]
    low, high, ticks = rounded_range(max(min(shown), 0.0), min(max(shown), 100.0))
    # A logarithmic scale, on which all items stand one step beyond the most.
    places = [math.log2(one.shots) for one in probes]
    last = places[-1] + (0 if every is None else 1)

    def x(place: float) -> float:
        return left + 14 + (width - left - right - 28) * (place - places[0]) / max(last - places[0], 1e-9)

    def y(value: float) -> float:
        return 12 + (base - 12) * (high - value) / (high - low)

    body = []
    for tick in ticks:
        body.append(f'<path class="grid" d="M{coordinate(left)} {coordinate(y(tick))}H{coordinate(width - right)}"/>')
        body.append(text(left - 8, y(tick) + 4, f"{tick:g}", "end", "faint"))
    body.append(text((left + width - right) / 2, base + 38, "items of each class; UAR in percent", "middle", "faint"))
    for (name, uar), level in zip(zero_shot.items(), _apart([y(uar) for uar in zero_shot.values()]), strict=True):
        css = "zero-shot clip" if name == next(iter(zero_shot)) else "zero-shot"
        title = f"<title>{escape(name)}: {uar:.1f}</title>"
        line = f"M{coordinate(left)} {coordinate(y(uar))}H{coordinate(width - right)}"
        body.append(f'<path class="{css}" d="{line}">{title}</path>')
        body.append(text(width - right + 8, level + 4, names[name], "start", "small"))
    points = [(x(place), y(one.uar)) for place, one in zip(places, probes, strict=True)]
    body.append(f'<polyline class="mean probe" points="{_points(points)}"/>')
    for (across, up), one in zip(points, probes, strict=True):
        body.append(text(across, base + 18, f"{one.shots}", "middle", "faint"))
        if one.std:
            top, bottom = coordinate(y(min(one.uar + one.std, high))), coordinate(y(max(one.uar - one.std, low)))
            caps = f"M{coordinate(across - 4)} {top}h8M{coordinate(across - 4)} {bottom}h8"
            body.append(f'<path class="whisker probe" d="M{coordinate(across)} {top}V{bottom}{caps}"/>')
        body.append(dot("probe", across, up, 4))
    if every is not None:
        body += [dot("probe", x(last), y(every), 4), text(x(last), base + 18, "all", "middle", "faint")]
    label = f"UAR on {test_set} in percent by items of each class trained on. " + "; ".join(
        [f"{one.shots}: {one.uar:.1f} ± {one.std:.1f}" for one in probes]
        + ([] if every is None else [f"all: {every:.1f}"])
        + [f"{name}: {uar:.1f}" for name, uar in zero_shot.items()]
    )
    return svg(width, height, label, body)


def _points(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{coordinate(across)},{coordinate(up)}" for across, up in points)


def _apart(levels: Sequence[float]) -> list[float]:
    """The levels, those too close to the one above moved down."""
    placed: dict[int, float] = {}
    for number in sorted(range(len(levels)), key=lambda k: levels[k]):
        placed[number] = max(levels[number], max(placed.values(), default=-APART) + APART)
    return [placed[number] for number in range(len(levels))]
