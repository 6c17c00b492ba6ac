"""Wrinkles and folds."""

from collections.abc import Iterator

import numpy as np

from expclip_cache.demo.drawing.face_batch import FaceBatch
from expclip_cache.demo.drawing.shape import Point, Shape, both_sides, mix


def creases_shapes(faces: FaceBatch, dark: np.ndarray) -> Iterator[Shape]:
    """Wrinkles caused by action units, and those of age."""
    units = faces.units
    old = np.select([faces.age == "middle-aged", faces.age == "old"], [0.12, 0.35], 0.0)

    def line(points: list[Point], strength: np.ndarray, width: float = 0.7) -> Shape:
        colour = mix(faces.skin, dark, 0.9 * strength)
        return Shape(points, colour, closed=False, width=width, ink=strength > 0.35, shown=strength > 0.1)

    def right_half() -> Iterator[Shape]:
        yield line([(2.0, -16), (1.6, -13.5), (2.2, -11)], 1.1 * units[4], 0.9)
        yield line([(19, -9), (21, -10.5)], np.maximum(units[6], old))
        yield line([(19, -7), (21.3, -6)], np.maximum(units[6], old))
        yield line(
            [(7, -3.2 - units[6]), (11, -2.4 - 1.5 * units[6]), (15, -3.4 - units[6])],
            np.maximum(units[6], 0.6 * old),
        )
        yield line([(1.5, -8), (3.8, -5.5), (2.2, -4.0)], 1.2 * units[9], 0.9)
        yield line([(0.3, -6), (3.0, -3.2)], 1.2 * units[9], 0.9)
        fold = np.maximum.reduce([units[10], units[12], 0.9 * units[9], 0.5 * units[20], old])
        reach = 3.0 * units[12] + 1.5 * units[20]
        yield line(
            [(6.2, 3.0 - 1.5 * units[9] - units[10]), (10.5 + 0.5 * reach, 7.5), (12.5 + reach, 13.5)], fold, 0.8
        )
        yield line([(12 + 3 * units[20], 20), (13.0 + 3 * units[20], 23)], units[15], 0.8)

    raised = np.maximum(units[1], units[2])
    for y in (-20.5, -22.8):
        up = 1.5 * units[1]
        yield line([(-11, y - units[2]), (0, y - up), (11, y - units[2])], np.maximum(raised * 0.8, old))
    yield from both_sides(right_half())
    chin = 23.5 + 4.0 * units[26] - 1.5 * units[17]
    yield line([(-4.5, chin + 1.2), (0, chin - 0.8), (4.5, chin + 1.2)], 1.2 * units[17], 1.0)
    for x, y in ((-1.6, 2.2), (1.6, 2.2), (0.0, 3.4)):
        yield line([(x - 0.5, chin + y), (x + 0.5, chin + y)], units[17], 0.8)
