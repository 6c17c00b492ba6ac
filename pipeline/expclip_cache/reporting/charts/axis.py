"""Charts of UAR over the values of one axis of an ablation."""

import math
from collections.abc import Callable, Sequence
from html import escape

from expclip_cache.reporting.ablation_content import AblatedAxis, AblatedValue
from expclip_cache.reporting.charts.svg import LETTER, WIDTH, coordinate, dot, svg, text, vertical_line, whisker

LONGEST_LABEL = 20
"""Letters of a value's label on a chart; the table has all of it."""


def axis_chart(axis: AblatedAxis, test_sets: Sequence[str]) -> str:
    """UAR of each value, one line per value; or over the number of faces, on a logarithmic scale.

    A dot is the mean over the test sets, its whisker the interval over items, a faint line one test set. Small dots are
    single heads, hollow ones plain CLIP. The centre has a ring.

    Args:
        axis: two or more values.
        test_sets: names, in the order of `AblatedValue.by_set`.
    """
    chart = _curve if all(value.number is not None for value in axis.values) else _rows
    label = f"UAR in percent by {axis.title.lower()}. " + "; ".join(
        f"{value.label}: {value.uar:.1f}, interval {value.low:.1f} to {value.high:.1f}"
        + (" (centre)" if value.centre else "")
        for value in axis.values
    )
    width, height, body = chart(axis.values, test_sets)
    return svg(width, height, label, body)


def _rows(values: Sequence[AblatedValue], test_sets: Sequence[str]) -> tuple[float, float, list[str]]:
    """Values one below the other; UAR to the right."""
    labels = [shortened(value.label) for value in values]
    left, right, step = 24 + LETTER * max(map(len, labels)), 16, 34
    width, height = WIDTH, step * len(values) + 48.0
    low, high, ticks = _range(values)

    def x(value: float) -> float:
        return left + (width - left - right) * (value - low) / (high - low)

    def y(number: int) -> float:
        return step * number + 20.0

    body = []
    for tick in ticks:
        body += [
            vertical_line(x(tick), 4, height - 44),
            text(x(tick), height - 26, f"{tick:g}", "middle", "faint"),
        ]
    body.append(text((x(low) + x(high)) / 2, height - 6, "UAR in percent", "middle", "faint"))
    body += _set_lines(test_sets, values, x=lambda k, uar: x(uar), y=lambda k, uar: y(k))
    for number, value in enumerate(values):
        body.append(text(left - 14, y(number) + 4, labels[number], "end", "strong" if value.centre else ""))
        body += [dot("head", x(uar), y(number), 2) for uar in value.heads if len(value.heads) > 1]
        body.append(dot("clip", x(value.clip), y(number), 5))
        body.append(whisker(x(value.low), x(value.high), y(number)))
        body += _mean_dot(value, x(value.uar), y(number))
    return width, height, body


def _curve(values: Sequence[AblatedValue], test_sets: Sequence[str]) -> tuple[float, float, list[str]]:
    """Numbers to the right, on a logarithmic scale; UAR upwards."""
    width, height, left, right, base = WIDTH, 280.0, 40.0, 24.0, 238.0
    numbers = [value.number or 1 for value in values]
    low, high, ticks = _range(values)
    first, last = math.log(numbers[0]), math.log(numbers[-1])

    def x(number: float) -> float:
        return left + 12 + (width - left - right - 12) * (math.log(number) - first) / max(last - first, 1e-9)

    def y(value: float) -> float:
        return 12 + (base - 12) * (high - value) / (high - low)

    body = []
    for tick in ticks:
        body.append(f'<path class="grid" d="M{coordinate(left)} {coordinate(y(tick))}H{coordinate(width - 8)}"/>')
        body.append(text(left - 8, y(tick) + 4, f"{tick:g}", "end", "faint"))
    body += [text(x(number), base + 18, f"{number:,}", "middle", "faint") for number in _apart(numbers, x)]
    body.append(text((left + width) / 2, base + 36, "unlabelled faces; UAR in percent", "middle", "faint"))
    body += _set_lines(test_sets, values, x=lambda k, uar: x(numbers[k]), y=lambda k, uar: y(uar))
    clip = values[-1].clip
    body.append(f'<path class="chance" d="M{coordinate(left)} {coordinate(y(clip))}H{coordinate(width - 8)}"/>')
    body.append(text(width - 8, y(clip) - 5, "plain CLIP", "end", "small"))
    points = " ".join(
        f"{coordinate(x(n))},{coordinate(y(value.uar))}" for n, value in zip(numbers, values, strict=True)
    )
    body.append(f'<polyline class="mean" points="{points}"/>')
    for number, value in zip(numbers, values, strict=True):
        body += [dot("head", x(number), y(uar), 2) for uar in value.heads if len(value.heads) > 1]
        middle, top, bottom = (coordinate(place) for place in (x(number), y(value.high), y(value.low)))
        side = coordinate(x(number) - 4)
        body.append(f'<path class="whisker" d="M{middle} {top}V{bottom}M{side} {top}h8M{side} {bottom}h8"/>')
        body += _mean_dot(value, x(number), y(value.uar))
    return width, height, body


def _set_lines(
    test_sets: Sequence[str],
    values: Sequence[AblatedValue],
    x: Callable[[int, float], float],
    y: Callable[[int, float], float],
) -> list[str]:
    """A faint line for each test set, through its UAR at every value; none for a single one."""
    if len(test_sets) < 2:
        return []
    lines = []
    for place, name in enumerate(test_sets):
        uars = [value.by_set[place] for value in values]
        points = " ".join(f"{coordinate(x(k, uar))},{coordinate(y(k, uar))}" for k, uar in enumerate(uars))
        lines.append(f'<polyline class="test-set" points="{points}"><title>{escape(name)}</title></polyline>')
    return lines


def _mean_dot(value: AblatedValue, x: float, y: float) -> list[str]:
    ring = [dot("ring", x, y, 9)] if value.centre else []
    return [*ring, dot("expclip", x, y, 4)]


def _range(values: Sequence[AblatedValue]) -> tuple[float, float, list[float]]:
    """From the lowest to the highest that is shown, rounded to the ticks, and these."""
    shown = [number for value in values for number in (value.low, value.high, value.clip, *value.by_set, *value.heads)]
    return rounded_range(min(shown), max(shown))


def _apart(numbers: Sequence[int], x: Callable[[float], float]) -> list[int]:
    """Those numbers whose labels do not touch; the last one always."""
    kept = [numbers[-1]]
    for number in reversed(numbers[:-1]):
        if x(kept[-1]) - x(number) > LETTER * (len(f"{number:,}") + len(f"{kept[-1]:,}")) / 2 + 4:
            kept.append(number)
    return kept


def rounded_range(low: float, high: float) -> tuple[float, float, list[float]]:
    """The range widened to round numbers, and those within it: three to nine."""
    spread = max(high - low, 1.0)
    step = next(step for step in (0.2, 0.5, 1, 2, 5, 10, 20, 50) if spread / step <= 7)
    first, last = math.floor(low / step), max(math.ceil(high / step), math.floor(low / step) + 2)
    return step * first, step * last, [step * k for k in range(first, last + 1)]


def shortened(label: str) -> str:
    """A label of at most `LONGEST_LABEL` letters."""
    return label if len(label) <= LONGEST_LABEL else label[: LONGEST_LABEL - 1].rstrip() + "…"
