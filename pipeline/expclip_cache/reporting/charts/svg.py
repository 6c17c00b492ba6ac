"""The elements that all charts are made of."""

from collections.abc import Sequence
from html import escape

WIDTH = 400.0
"""Natural width of a chart in pixels: about that of a phone, on which its text is as large as meant."""

LETTER = 7.3
"""Width reserved per letter in pixels: a little more than the average at 12 px in the widest of the usual fonts."""


def svg(width: float, height: float, label: str, body: Sequence[str]) -> str:
    """One SVG image that scales down with its column.

    Args:
        width: natural width in pixels; the image grows a little beyond it if there is room.
        height: natural height.
        label: what the chart shows, for screen readers.
        body: its elements.
    """
    return (
        f'<svg class="chart" role="img" viewBox="0 0 {coordinate(width)} {coordinate(height)}" '
        f'style="max-width:{coordinate(1.15 * width)}px" aria-label="{escape(label)}">{"".join(body)}</svg>'
    )


def text(x: float, y: float, value: str, anchor: str = "start", css: str = "") -> str:
    """One line of text; `anchor` is start, middle or end."""
    css_class = f' class="{css}"' if css else ""
    return f'<text x="{coordinate(x)}" y="{coordinate(y)}" text-anchor="{anchor}"{css_class}>{escape(value)}</text>'


def vertical_line(x: float, top: float, bottom: float) -> str:
    """A grid line."""
    return f'<path class="grid" d="M{coordinate(x)} {coordinate(top)}V{coordinate(bottom)}"/>'


def dot(css: str, x: float, y: float, radius: int) -> str:
    """A filled circle."""
    return f'<circle class="{css}" cx="{coordinate(x)}" cy="{coordinate(y)}" r="{radius}"/>'


def whisker(start: float, end: float, y: float, css: str = "whisker") -> str:
    """A horizontal error bar with caps."""
    low, high, middle, top = (coordinate(value) for value in (start, end, y, y - 4))
    return f'<path class="{css}" d="M{low} {middle}H{high}M{low} {top}v8M{high} {top}v8"/>'


def band(css: str, start: float, end: float, y: float) -> str:
    """An interval: a thick translucent line."""
    low, high, middle = (coordinate(value) for value in (start, end, y))
    return f'<path class="band {css}" d="M{low} {middle}H{high}"/>'


def gain_or_loss(value: float) -> str:
    """The CSS class of a change for the better (or none) or for the worse."""
    return "more" if value >= 0 else "less"


def rounded(value: float, digits: int = 0, *, sign: bool = False) -> str:
    """A number as text, without a sign if it is rounded to zero.

    >>> rounded(-0.2), rounded(-0.04, 1, sign=True), rounded(3.27, 1, sign=True)
    ('0', '0.0', '+3.3')
    """
    shown = f"{value:{'+' if sign else ''}.{digits}f}"
    return shown.lstrip("+-") if float(shown) == 0 else shown


def coordinate(value: float) -> str:
    """A number rounded to a tenth: short, and the same on every platform."""
    return f"{value:.1f}".rstrip("0").rstrip(".")
