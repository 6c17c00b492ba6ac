"""Chart of what each value of an axis changes in an ablation."""

from expclip_cache.reporting.ablation_content import AblatedAxis
from expclip_cache.reporting.charts.axis import rounded_range, shortened
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


def change_chart(axis: AblatedAxis) -> str:
    """UAR minus the centre's, one line per value: the mean with its interval, and small dots for single test sets.

    Args:
        axis: two or more values, one of them the centre's.
    """
    (centre,) = (value for value in axis.values if value.change is None)
    labels = [shortened(value.label) for value in axis.values]
    left, right, step = 24 + LETTER * max(map(len, labels)), 16, 34
    width, height = WIDTH, step * len(labels) + 48.0
    of_sets = [[uar - other for uar, other in zip(v.by_set, centre.by_set, strict=True)] for v in axis.values]
    shown = [0.0, *(number for value in axis.values for number in value.change or ()), *(n for s in of_sets for n in s)]
    low, high, ticks = rounded_range(min(shown), max(shown))

    def x(value: float) -> float:
        return left + (width - left - right) * (value - low) / (high - low)

    body = []
    for tick in ticks:
        label = rounded(tick, 0 if float(tick).is_integer() else 1, sign=True)
        body += [vertical_line(x(tick), 4, height - 44), text(x(tick), height - 26, label, "middle", "faint")]
    body.append(text((x(low) + x(high)) / 2, height - 6, "change in UAR, in points", "middle", "faint"))
    body.append(f'<path class="chance" d="M{coordinate(x(0))} 4V{coordinate(height - 44)}"/>')
    for number, value in enumerate(axis.values):
        y = step * number + 20.0
        body.append(text(left - 14, y + 4, labels[number], "end", "strong" if value.centre else ""))
        if value.change is None:
            body += [dot("ring", x(0), y, 9), dot("expclip", x(0), y, 4)]
            continue
        if len(of_sets[number]) > 1:
            body += [dot("head", x(change), y, 2) for change in of_sets[number]]
        body += [whisker(x(value.change[1]), x(value.change[2]), y), dot("expclip", x(value.change[0]), y, 4)]
    label = f"Change in UAR by {axis.title.lower()}, in points. " + "; ".join(
        f"{value.label}: {value.change[0]:+.1f}, interval {value.change[1]:+.1f} to {value.change[2]:+.1f}"
        for value in axis.values
        if value.change
    )
    return svg(width, height, label, body)
