"""Head, hair, neck, clothes and glasses."""

from collections.abc import Iterator

from expclip_cache.demo.drawing.face_batch import FaceBatch
from expclip_cache.demo.drawing.shape import Shape, both_sides, mix


def head_shapes(faces: FaceBatch) -> Iterator[Shape]:
    """Hair at the back, neck, shirt, ears, face, beard and hair at the front; AU26 drops the jaw."""
    units, hair, style = faces.units, faces.hair, faces.hair_style
    w, j = 22.5 + faces.trait("width"), faces.trait("jaw")
    chin = 27.5 + 0.5 * j + 4.0 * units[26] - 1.2 * units[17]
    shadow = mix(faces.skin, (50, 20, 10), 0.28)
    back = [
        (-w - 4, -12),
        (-16, -32),
        (16, -32),
        (w + 4, -12),
        (w + 5, 14),
        (w + 2, 32),
        (-w - 2, 32),
        (-w - 5, 14),
    ]
    yield Shape(back, hair, on_face=False, shown=style == "long")
    back = [(-w - 2, -6), (-w, -20), (-12, -33), (12, -33), (w, -20), (w + 2, -6), (10, 4), (-10, 4)]
    yield Shape(back, hair, on_face=False, shown=(style == "short") | (style == "fringe"))
    yield Shape(
        [(-11, 18), (11, 18), (12, 32), (22, 34), (22, 38), (-22, 38), (-22, 34), (-12, 32)],
        shadow,
        on_face=False,
    )
    shirt = [(-40, 40), (-36, 31), (-16, 27.5), (0, 33), (16, 27.5), (36, 31), (40, 40)]
    yield Shape(shirt, faces.shirt, on_face=False)
    ear = [(w - 1.5, -6), (w + 2.5, -7), (w + 2.5, 1), (w - 1.5, 4)]
    yield from both_sides([Shape(ear, shadow, on_face=False)])
    half = [
        (w * 0.55, -27),
        (w * 0.92, -17),
        (w, -4),
        (w * 0.95, 9),
        (15.5 + 0.9 * j, 20),
        (7 + 0.6 * j, chin - 1.0),
    ]
    face = [(0.0, -29.0), *half, (0.0, chin), *[(-x, y) for x, y in reversed(half)]]
    yield Shape(face, faces.skin, width=0.9, on_face=False)
    low = [(w * 0.93, 6), (16.5 + j, 20), (7 + 0.6 * j, chin - 0.5), (0, chin + 0.5)]
    top = [(6, 13.5), (13, 11.5)]
    beard = [*low, *[(-x, y) for x, y in reversed(low[:-1])], *[(-x, y) for x, y in reversed(top)], *top]
    yield Shape(beard, mix(hair, faces.skin, 0.25), shown=faces.beard == "full")
    front = [
        (-w, -13),
        (-w * 0.8, -20),
        (-9, -24.5),
        (9, -24.5),
        (w * 0.8, -20),
        (w, -13),
        (w, -26),
        (0, -36),
        (-w, -26),
    ]
    yield Shape(front, hair, on_face=False, shown=(style == "short") | (style == "long"))
    fringe = [
        (-w, -11),
        (-w * 0.8, -18),
        (-8, -21.5),
        (12, -22.5),
        (w * 0.85, -20),
        (w, -12),
        (w, -27),
        (0, -37),
        (-w, -27),
    ]
    yield Shape(fringe, hair, on_face=False, shown=style == "fringe")


def extras_shapes(faces: FaceBatch) -> Iterator[Shape]:
    """Glasses."""
    worn, frame, x = faces.glasses, (30, 28, 34), 11.0 + faces.trait("eye_gap")
    rim = [
        (x - 7.0, -9),
        (x - 5, -13),
        (x + 5, -13),
        (x + 7.2, -9),
        (x + 5, -2.6),
        (x - 5, -2.6),
        (x - 7.0, -9),
    ]
    temple = [(x + 7.2, -9), (23.5, -10)]
    yield from both_sides(Shape(part, frame, closed=False, width=0.8, shown=worn) for part in (rim, temple))
    yield Shape([(-4, -9), (0, -10), (4, -9)], frame, closed=False, width=0.8, shown=worn)
