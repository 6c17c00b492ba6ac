"""Eyes, brows and nose, and how action units move them.

Displacements here and in `mouth.py` are about 1.35 times those of a real face, because the images are small.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from expclip_cache.demo.drawing.face_batch import FaceBatch
from expclip_cache.demo.drawing.shape import Point, Shape, mix

_RING = tuple(
    (x, y) for x, y in ((0, -1), (0.71, -0.71), (1, 0), (0.71, 0.71), (0, 1), (-0.71, 0.71), (-1, 0), (-0.71, -0.71))
)


def eye_shapes(faces: FaceBatch) -> Iterator[Shape]:
    """The right eye: its socket, the white, the iris clipped by both lids, and the lids' lines."""
    units = faces.units
    centre, half = 11.0 + faces.trait("eye_gap"), 5.2
    size = 1.0 + faces.trait("eye_size")
    upper = np.maximum(0.7, 3.1 * size + 3.1 * units[5] - 1.7 * units[7] - 0.7 * units[6] - 0.9 * units[9])
    lower = np.maximum(0.3, 2.4 * size + 0.4 * units[5] - 1.9 * units[6] - 1.6 * units[7] - 0.6 * units[9])
    sad = 0.9 * units[1] * units[15]
    y = -8.0

    def lid(x: float, height: np.ndarray) -> np.ndarray:
        return y - height * (1.0 - (x / half) ** 2) + 0.25 * sad * x

    spots = (-half, -half * 0.6, 0.0, half * 0.6, half)
    top: list[Point] = [(x, lid(x, upper)) for x in spots]
    bottom: list[Point] = [(x, lid(x, -lower)) for x in spots]
    socket: list[Point] = [
        (-half - 1.5, y),
        (-3.5, y - upper - 2.2),
        (3.5, y - upper - 2.2),
        (half + 1.5, y),
        (3, y + lower + 1.6),
        (-3, y + lower + 1.6),
    ]

    def place(points: Sequence[Point]) -> list[Point]:
        return [(centre + px, py) for px, py in points]

    yield Shape(place(socket), mix(faces.skin, (70, 30, 20), 0.16), ink=False)
    yield Shape(place([*top, *bottom[-2:0:-1]]), (240, 238, 234), ink=False)
    for radius, colour in ((2.7, faces.eye_colour), (1.3, (14, 12, 12))):
        ring = [(radius * cx, y - 0.3 + radius * cy) for cx, cy in _RING]
        clipped = [(x, np.minimum(np.maximum(py, lid(x, upper)), lid(x, -lower))) for x, py in ring]
        yield Shape(place(clipped), colour, ink=radius < 2)
    yield Shape(place(top), (34, 22, 20), closed=False, width=np.where(faces.woman, 1.2, 0.95))
    yield Shape(place(bottom), mix(faces.skin, (50, 20, 16), 0.45 + 0.35 * units[7]), closed=False, width=0.6)


def brow_shape(faces: FaceBatch) -> Shape:
    """The right brow: AU1 raises its inner and AU2 its outer part; AU4 and AU9 lower it, and AU4 draws it inward."""
    units, tilt = faces.units, faces.trait("brow_tilt")
    y = -14.6 - faces.trait("brow_height")
    frown = units[4] * (1 - 0.65 * np.minimum(1.0, units[1]))
    inner = y + tilt - 5.2 * units[1] + 3.8 * frown + 2.0 * units[9] + 0.5 * units[7]
    middle = y - 1.4 - 2.7 * units[1] - 3.3 * units[2] + 2.6 * units[4] + 1.2 * units[9]
    outer = y + 0.8 - tilt - 5.2 * units[2] + 1.2 * units[4]
    thick = 1.15 + 0.5 * faces.trait("brow_weight")
    pull = 1.9 * units[4]
    upper = [(4.4 - pull, inner - thick), (11.5 - 0.5 * pull, middle - thick), (18.2, outer - 0.3)]
    lower = [(18.2, outer + 0.3), (11.5 - 0.5 * pull, middle + thick), (4.4 - pull, inner + thick)]
    colour = mix(faces.hair, (30, 20, 16), 0.45)
    return Shape([*upper, *lower], colour, width=0.9)


def nose_shapes(faces: FaceBatch, dark: np.ndarray) -> Iterator[Shape]:
    """Bridge, tip, wings and nostrils; AU9 raises the wings, and AU10 does so slightly."""
    units = faces.units
    tip = 3.6 + faces.trait("nose_length")
    lift = 2.0 * units[9] + 0.8 * units[10]
    wing = 4.2 + 0.6 * faces.trait("nose_width") + 0.9 * units[9] + 0.4 * units[12]
    side = mix(faces.skin, dark, 0.3)
    yield Shape(
        [(-0.6, -8), (1.2, -8), (wing - 0.8, tip - 0.6 - lift), (0.5, tip + 0.4 - 0.4 * lift)],
        side,
        ink=False,
    )
    base = [
        (-wing, tip - 0.6 - lift),
        (-2, tip + 0.9 - 0.5 * lift),
        (0, tip + 1.3 - 0.4 * lift),
        (2, tip + 0.9 - 0.5 * lift),
        (wing, tip - 0.6 - lift),
    ]
    yield Shape(base, mix(faces.skin, dark, 0.75), closed=False, width=0.8)
    for x in (-2.0, 2.0):
        spot = [
            (x - 0.9, tip + 0.3 - 0.6 * lift),
            (x, tip - 0.2 - 0.7 * lift),
            (x + 0.9, tip + 0.3 - 0.6 * lift),
            (x, tip + 0.7 - 0.5 * lift),
        ]
        yield Shape(spot, dark, ink=False)
