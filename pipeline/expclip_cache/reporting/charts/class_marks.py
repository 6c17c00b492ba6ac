"""The mark of each class: a colour and a shape, so that no reader has to rely on colours alone."""

from expclip_cache.reporting.charts.svg import coordinate

COLOURS = 7
"""Colours of the page's CSS, `class-0` to `class-6`: those of Okabe and Ito, without yellow and with grey for black."""

CORNERS = (
    (),
    ((-0.87, -0.87), (0.87, -0.87), (0.87, 0.87), (-0.87, 0.87)),
    ((0.0, -1.25), (1.2, 0.85), (-1.2, 0.85)),
    ((0.0, -1.25), (1.25, 0.0), (0.0, 1.25), (-1.25, 0.0)),
)
"""Of a circle, a square, a triangle and a diamond of about the same area, in units of the radius.

With seven colours, 28 classes have marks of their own."""


def class_mark(label: int, x: float, y: float, radius: float, css: str = "", title: str = "") -> str:
    """The mark of one class.

    Args:
        label: number of the class.
        x, y: its middle.
        radius: in pixels.
        css: further CSS classes.
        title: what is shown while the pointer is on it, escaped.
    """
    corners = CORNERS[label % len(CORNERS)]
    if corners:
        tag, path = (
            "path",
            "L".join(f"{coordinate(x + radius * dx)} {coordinate(y + radius * dy)}" for dx, dy in corners),
        )
        shape = f'd="M{path}z"'
    else:
        tag, shape = "circle", f'cx="{coordinate(x)}" cy="{coordinate(y)}" r="{coordinate(radius)}"'
    start = f'<{tag} class="{" ".join(filter(None, (f"class-{label % COLOURS}", css)))}" {shape}'
    return f"{start}><title>{title}</title></{tag}>" if title else f"{start}/>"
