"""A square plot of one percentage against another."""

from dataclasses import dataclass

from expclip_cache.reporting.charts.svg import WIDTH, coordinate, text, vertical_line

LEFT, TOP, SIDE = 40.0, 10.0, WIDTH - 60
"""The plot's place and size in pixels."""

BASE = TOP + SIDE


@dataclass(frozen=True)
class Square:
    """The axes of the plot.

    Attributes:
        across, up: what each axis is.
        below: room between the plot and the numbers of the horizontal axis.
    """

    across: str
    up: str
    below: float = 0.0

    @property
    def height(self) -> float:
        """Of the whole image."""
        return BASE + self.below + 42

    def x(self, percent: float) -> float:
        """Where a percentage is on the horizontal axis."""
        return LEFT + SIDE * percent / 100

    def y(self, percent: float) -> float:
        """Where a percentage is on the vertical axis."""
        return BASE - SIDE * percent / 100

    def axes(self) -> list[str]:
        """Grid, numbers and names."""
        body = []
        for tick in (0, 25, 50, 75, 100):
            body.append(vertical_line(self.x(tick), TOP, BASE))
            level = coordinate(self.y(tick))
            body.append(f'<path class="grid" d="M{coordinate(LEFT)} {level}H{coordinate(LEFT + SIDE)}"/>')
            body.append(text(LEFT - 6, self.y(tick) + 4, f"{tick}", "end", "faint"))
            body.append(text(self.x(tick), BASE + self.below + 16, f"{tick}", "middle", "faint"))
        body.append(text(self.x(50), BASE + self.below + 34, self.across, "middle", "faint"))
        place = f'transform="translate(11 {coordinate(self.y(50))}) rotate(-90)"'
        return [*body, f'<text {place} text-anchor="middle" class="faint">{self.up}</text>']
