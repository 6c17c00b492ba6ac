"""Wrinkles and folds."""

from collections.abc import Iterator

from expclip_cache.demo.drawing.person import Colour, Person
from expclip_cache.demo.drawing.shape import Point, Shape, mirrored, mix


def creases_shapes(person: Person, units: dict[int, float], dark: Colour) -> Iterator[Shape]:
    """Wrinkles caused by action units, and those of age."""
    old = {"young": 0.0, "middle-aged": 0.12, "old": 0.35}[person.age]

    def line(points: list[Point], strength: float, width: float = 0.7) -> Iterator[Shape]:
        if strength > 0.1:
            yield Shape(points, mix(person.skin, dark, 0.9 * strength), closed=False, width=width, ink=strength > 0.35)

    raised = max(units[1], units[2])
    for y in (-20.5, -22.8):
        up = 1.5 * units[1]
        yield from line([(-11, y - units[2]), (0, y - up), (11, y - units[2])], max(raised * 0.8, old))
    for side in (-1.0, 1.0):
        yield from line(mirrored([(2.0, -16), (1.6, -13.5), (2.2, -11)], side), 1.1 * units[4], 0.9)
        yield from line(mirrored([(19, -9), (21, -10.5)], side), max(units[6], old))
        yield from line(mirrored([(19, -7), (21.3, -6)], side), max(units[6], old))
        yield from line(
            mirrored([(7, -3.2 - units[6]), (11, -2.4 - 1.5 * units[6]), (15, -3.4 - units[6])], side),
            max(units[6], 0.6 * old),
        )
        yield from line(mirrored([(1.5, -8), (3.8, -5.5), (2.2, -4.0)], side), 1.2 * units[9], 0.9)
        yield from line(mirrored([(0.3, -6), (3.0, -3.2)], side), 1.2 * units[9], 0.9)
        fold = max(units[10], units[12], 0.9 * units[9], 0.5 * units[20], old)
        reach = 3.0 * units[12] + 1.5 * units[20]
        yield from line(
            mirrored(
                [(6.2, 3.0 - 1.5 * units[9] - units[10]), (10.5 + 0.5 * reach, 7.5), (12.5 + reach, 13.5)],
                side,
            ),
            fold,
            0.8,
        )
        yield from line(mirrored([(12 + 3 * units[20], 20), (13.0 + 3 * units[20], 23)], side), units[15], 0.8)
    chin = 23.5 + 4.0 * units[26] - 1.5 * units[17]
    yield from line([(-4.5, chin + 1.2), (0, chin - 0.8), (4.5, chin + 1.2)], 1.2 * units[17], 1.0)
    for x, y in ((-1.6, 2.2), (1.6, 2.2), (0.0, 3.4)):
        yield from line([(x - 0.5, chin + y), (x + 0.5, chin + y)], units[17], 0.8)
