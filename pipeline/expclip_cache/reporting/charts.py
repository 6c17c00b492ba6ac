"""Charts as SVG text: pure functions, no library, the same bytes for the same numbers.

Colours come from the page's CSS (classes `clip`, `expclip`, `more`, `less`, `grid`), so a chart follows its light, dark
and printed looks. Every chart is an image with a description of what it shows; numbers stand in tables beside it.
"""

import math
from collections.abc import Mapping, Sequence
from html import escape

import numpy as np

LETTER = 7.3
"""Room for one letter: a little more than the widest of the usual fonts takes on average at 12 px."""


def svg(width: float, height: float, label: str, body: Sequence[str]) -> str:
    """One SVG image that scales down with its column.

    Args:
        width: of the drawing, in pixels at its natural size; it is shown a little larger where there is room.
        height: of the drawing.
        label: what it shows, for those who do not see it.
        body: its elements.
    """
    return (
        f'<svg class="chart" role="img" viewBox="0 0 {_n(width)} {_n(height)}" style="max-width:{_n(1.15 * width)}px" '
        f'aria-label="{escape(label)}">{"".join(body)}</svg>'
    )


def text(x: float, y: float, value: str, anchor: str = "start", css: str = "") -> str:
    """One line of text; `anchor` is start, middle or end."""
    kind = f' class="{css}"' if css else ""
    return f'<text x="{_n(x)}" y="{_n(y)}" text-anchor="{anchor}"{kind}>{escape(value)}</text>'


def gains(rows: Sequence[tuple[str, float, float, float]]) -> str:
    """From CLIP to Exp-CLIP, one line a test set.

    Args:
        rows: name, CLIP's UAR, Exp-CLIP's UAR and its spread over seeds; all in percent.
    """
    left, right, step = 16 + LETTER * max(len(row[0]) for row in rows), 52, 32
    width, height = 480.0, step * len(rows) + 30.0
    top = _ceiling(max(max(row[1], row[2] + row[3]) for row in rows))

    def x(value: float) -> float:
        return left + (width - left - right) * value / top

    body = []
    for tick in _ticks(top):
        body.append(f'<path class="grid" d="M{_n(x(tick))} 4V{_n(height - 26)}"/>')
        body.append(text(x(tick), height - 8, f"{tick:g}", "middle", "faint"))
    for number, (name, clip, expclip, spread) in enumerate(rows):
        y = step * number + 20.0
        body.append(text(left - 10, y + 4, name, "end"))
        body.append(f'<path class="link {_sign(expclip - clip)}" d="M{_n(x(clip))} {_n(y)}H{_n(x(expclip))}"/>')
        body.append(f'<circle class="clip" cx="{_n(x(clip))}" cy="{_n(y)}" r="6"/>')
        if spread:
            body.append(_whisker(x(expclip - spread), x(expclip + spread), y))
        body.append(f'<circle class="expclip" cx="{_n(x(expclip))}" cy="{_n(y)}" r="6"/>')
        far = max(x(clip), x(expclip + spread))
        body.append(text(far + 12, y + 4, f"{expclip - clip:+.1f}", "start", "strong"))
    label = "UAR in percent, CLIP then Exp-CLIP. " + "; ".join(f"{n}: {a:.1f} to {b:.1f}" for n, a, b, _ in rows)
    return svg(width, height, label, body)


def recall_bars(classes: Sequence[str], clip: Sequence[float], expclip: Sequence[Sequence[float]]) -> str:
    """Recall of each class, CLIP above Exp-CLIP.

    Args:
        classes: c names.
        clip: (c,) recall in percent, NaN for a class without test items.
        expclip: (s, c) recall of each head; the bar is their mean, the whisker spans lowest to highest.
    """
    heads = np.asarray(expclip, dtype=float)
    mean, low, high = heads.mean(axis=0), heads.min(axis=0), heads.max(axis=0)
    left, right, step = 14 + LETTER * max(map(len, classes)), 44, 40
    width, height = 480.0, step * len(classes) + 26.0

    def x(value: float) -> float:
        return left + (width - left - right) * value / 100

    body = []
    for tick in (0, 25, 50, 75, 100):
        body.append(f'<path class="grid" d="M{_n(x(tick))} 2V{_n(height - 22)}"/>')
        body.append(text(x(tick), height - 6, f"{tick}", "middle", "faint"))
    for number, name in enumerate(classes):
        y = step * number + 6.0
        body.append(text(left - 8, y + 18, name, "end"))
        if math.isnan(clip[number]):
            body.append(text(x(0) + 4, y + 18, "no test items", "start", "faint"))
            continue
        for offset, css, value in ((0, "clip", clip[number]), (14, "expclip", mean[number])):
            body.append(
                f'<rect class="{css}" x="{_n(x(0))}" y="{_n(y + offset)}" width="{_n(x(value) - x(0))}" height="12"/>'
            )
        end = max(x(high[number]), x(mean[number]))
        if high[number] > low[number]:
            body.append(_whisker(x(low[number]), x(high[number]), y + 20))
        body.append(text(x(clip[number]) + 5, y + 10.5, f"{clip[number]:.0f}", "start", "small"))
        body.append(text(end + 5, y + 24.5, f"{mean[number]:.0f}", "start", "small"))
    label = "Recall in percent, CLIP then Exp-CLIP. " + "; ".join(
        f"{name}: {a:.0f}, {b:.0f}" for name, a, b in zip(classes, clip, mean, strict=True) if not math.isnan(a)
    )
    return svg(width, height, label, body)


def confusion(classes: Sequence[str], shares: np.ndarray, title: str, *, difference: bool = False) -> str:
    """A confusion matrix: rows are the true class, columns the answer.

    Args:
        classes: c names.
        shares: (c, c) percent of the true class, each row summing to 100; with `difference` the points that one
            matrix has more than another. A row of NaN stays empty.
        title: whose matrix it is.
        difference: colour gains and losses. On the diagonal a gain is good, beside it bad; the sign alone is shown.
    """
    count, longest = len(classes), LETTER * max(map(len, classes))
    left, head = longest + 12, longest / math.sqrt(2) + 18
    cell = 36.0 if count <= 8 else 29.0
    # The last name leans out over the right edge.
    width = left + cell * (count - 0.5) + max(LETTER * len(classes[-1]) / math.sqrt(2) + 10, cell / 2 + 2)
    height = head + cell * count + 2
    largest = max(float(np.nanmax(np.abs(shares))), 1.0) if difference else 100.0
    body = [text(left - 8, head - 8, "true", "end", "faint")]
    for number, name in enumerate(classes):
        middle = left + cell * (number + 0.5)
        place = f'transform="translate({_n(middle + 4)} {_n(head - 8)}) rotate(-45)"'
        body.append(f"<text {place}>{escape(name)}</text>")
        body.append(text(left - 8, head + cell * (number + 0.5) + 4, name, "end"))
    for row in range(count):
        for column in range(count):
            value = float(shares[row, column])
            if math.isnan(value):
                continue
            x, y = left + cell * column, head + cell * row
            css = _sign(value) if difference else "expclip" if row == column else "clip"
            strength = 0.75 * min(abs(value) / largest, 1.0)
            unit = f"{value:+.1f} points" if difference else f"{value:.1f} %"
            body.append(
                f'<rect class="heat {css}" x="{_n(x)}" y="{_n(y)}" width="{_n(cell - 1)}" height="{_n(cell - 1)}" '
                f'fill-opacity="{strength:.3f}"><title>{escape(classes[row])} called {escape(classes[column])}: '
                f"{unit}</title></rect>"
            )
            if abs(value) >= 0.5:
                shown = f"{value:+.0f}" if difference else f"{value:.0f}"
                body.append(text(x + cell / 2 - 0.5, y + cell / 2 + 4, shown, "middle", "cell"))
    body.append(
        f'<rect class="frame" x="{_n(left - 0.5)}" y="{_n(head - 0.5)}" width="{_n(cell * count)}" '
        f'height="{_n(cell * count)}"/>'
    )
    right = [f"{name} {shares[k, k]:.0f}" for k, name in enumerate(classes) if not math.isnan(shares[k, k])]
    label = f"{title}, {'points on' if difference else 'percent on'} the diagonal: {', '.join(right)}"
    return svg(width, height, label, body)


def loss_curve(series: Mapping[str, Sequence[float]]) -> str:
    """Training loss over epochs, one line a head.

    Args:
        series: name -> loss of each epoch.
    """
    width, height, left, base = 480.0, 240.0, 44.0, 202.0
    values = [value for losses in series.values() for value in losses]
    low, high = min(values), max(values)
    room = (high - low) * 0.08 or max(abs(high), 1.0) * 0.05
    low, high = low - room, high + room
    epochs = max(len(losses) for losses in series.values())

    def x(epoch: int) -> float:
        return left + (width - left - 16) * (epoch - 1) / max(epochs - 1, 1)

    def y(value: float) -> float:
        return 12 + (base - 12) * (high - value) / (high - low)

    body = []
    for tick in _between(low, high):
        body.append(f'<path class="grid" d="M{_n(left)} {_n(y(tick))}H{_n(width - 16)}"/>')
        body.append(text(left - 8, y(tick) + 4, f"{tick:g}", "end", "faint"))
    marked = sorted({1, *(round(1 + (epochs - 1) * part / 4) for part in range(1, 5))})
    body += [text(x(epoch), base + 18, f"{epoch}", "middle", "faint") for epoch in marked]
    body.append(text((left + width) / 2, base + 34, "epoch", "middle", "faint"))
    for name, losses in series.items():
        points = " ".join(f"{_n(x(epoch))},{_n(y(loss))}" for epoch, loss in enumerate(losses, start=1))
        dots = [f'<circle class="expclip" cx="{_n(x(1))}" cy="{_n(y(losses[0]))}" r="3"/>'] if len(losses) == 1 else []
        body += [f'<polyline class="curve" points="{points}"><title>{escape(name)}</title></polyline>', *dots]
    ends = [losses[-1] for losses in series.values()]
    label = (
        f"Training loss of {len(series)} head{'s' * (len(series) != 1)} over {epochs} epochs, "
        f"from {max(losses[0] for losses in series.values()):.3f} to {min(ends):.3f}"
    )
    return svg(width, height, label, body)


def _whisker(start: float, end: float, y: float) -> str:
    return (
        f'<path class="whisker" d="M{_n(start)} {_n(y)}H{_n(end)}M{_n(start)} {_n(y - 4)}v8M{_n(end)} {_n(y - 4)}v8"/>'
    )


def _sign(value: float) -> str:
    return "more" if value >= 0 else "less"


def _ceiling(value: float) -> float:
    """The next multiple of ten, at most 100."""
    return min(100.0, 10.0 * math.ceil(max(value, 1.0) / 10))


def _ticks(top: float) -> list[float]:
    step = 10 if top <= 50 else 20
    return [float(tick) for tick in range(0, int(top) + 1, step)]


def _between(low: float, high: float) -> list[float]:
    """Three to six round numbers within [low, high]."""
    raw = (high - low) / 4
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw)
    first = math.ceil(low / step)
    return [round(step * k, 10) for k in range(first, math.floor(high / step) + 1)]


def _n(value: float) -> str:
    """A coordinate, to a tenth: short, and the same on every platform."""
    return f"{value:.1f}".rstrip("0").rstrip(".")
