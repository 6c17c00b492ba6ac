"""Training loss over epochs."""

import math
from collections.abc import Mapping, Sequence
from html import escape

from expclip_cache.reporting.charts.svg import WIDTH, coordinate, dot, svg, text


def loss_curve(series: Mapping[str, Sequence[float]]) -> str:
    """One line per head.

    Args:
        series: name of a head -> loss of each epoch.
    """
    width, height, left, base = WIDTH, 240.0, 44.0, 202.0
    values = [value for losses in series.values() for value in losses]
    low, high = min(values), max(values)
    margin = (high - low) * 0.08 or max(abs(high), 1.0) * 0.05
    low, high = low - margin, high + margin
    epochs = max(len(losses) for losses in series.values())

    def x(epoch: int) -> float:
        return left + (width - left - 16) * (epoch - 1) / max(epochs - 1, 1)

    def y(value: float) -> float:
        return 12 + (base - 12) * (high - value) / (high - low)

    body = []
    for tick in _round_numbers(low, high):
        body.append(f'<path class="grid" d="M{coordinate(left)} {coordinate(y(tick))}H{coordinate(width - 16)}"/>')
        body.append(text(left - 8, y(tick) + 4, f"{tick:g}", "end", "faint"))
    marked = sorted({1, *(round(1 + (epochs - 1) * part / 4) for part in range(1, 5))})
    body += [text(x(epoch), base + 18, f"{epoch}", "middle", "faint") for epoch in marked]
    body.append(text((left + width) / 2, base + 34, "epoch", "middle", "faint"))
    for name, losses in series.items():
        points = " ".join(f"{coordinate(x(epoch))},{coordinate(y(loss))}" for epoch, loss in enumerate(losses, start=1))
        body.append(f'<polyline class="curve" points="{points}"><title>{escape(name)}</title></polyline>')
        if len(losses) == 1:
            body.append(dot("expclip", x(1), y(losses[0]), 3))
    first, last = max(losses[0] for losses in series.values()), min(losses[-1] for losses in series.values())
    label = (
        f"Training loss of {len(series)} head{'s' * (len(series) != 1)} over {epochs} epochs, "
        f"from {first:.3f} to {last:.3f}"
    )
    return svg(width, height, label, body)


def _round_numbers(low: float, high: float) -> list[float]:
    """Three to six round numbers within [low, high]."""
    raw = (high - low) / 4
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw)
    first = math.ceil(low / step)
    return [round(step * k, 10) for k in range(first, math.floor(high / step) + 1)]
