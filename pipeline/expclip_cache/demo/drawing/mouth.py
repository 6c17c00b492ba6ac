"""The mouth, and how action units move it."""

from collections.abc import Iterator

import numpy as np

from expclip_cache.demo.drawing.face_batch import FaceBatch
from expclip_cache.demo.drawing.shape import Shape, both_sides, mix


def mouth_shapes(faces: FaceBatch, dark: np.ndarray) -> Iterator[Shape]:
    """The lips and, if they are parted, the inside of the mouth with teeth."""
    au, lip = faces.units, faces.trait("lip")
    y = 13.6 + faces.trait("mouth_height") - 1.6 * au[17] + 0.8 * au[26]
    half = (8.2 + faces.trait("mouth_width")) * (
        1 + 0.42 * au[12] + 0.5 * au[20] - 0.2 * au[23] - 0.16 * au[26] - 0.12 * au[17]
    )
    corner = y + faces.trait("mouth_tilt") - 5.0 * au[12] + 5.0 * au[15] + 1.6 * au[20]
    press = np.maximum(0.3, 1 - 0.65 * au[23] - 0.75 * au[24] - 0.25 * au[12] - 0.35 * au[20])
    thick_up = (1.5 + 0.9 * lip) * press
    thick_low = (2.2 + 0.9 * lip) * press
    gap_up = 0.4 * au[25] + 2.6 * au[10] * (0.3 + 0.7 * au[25]) + 1.0 * au[9] * au[25] + 0.5 * au[12] * au[25]
    gap_low = 1.7 * au[25] + 9.5 * au[26] * np.minimum(1.0, 2 * au[25]) + 2.8 * au[16]
    lift = 2.1 * au[10] + 0.8 * au[9]
    sag = 0.12 * (corner - y)
    inner_top = y - gap_up - 0.5 * lift + sag
    inner_low = y + gap_low - 0.9 * au[17] + sag
    inner_low = np.maximum(inner_low, inner_top)
    square = 0.62 + 0.16 * au[10] + 0.12 * au[20]
    blend = (1 - square) * 0.9
    top_side = inner_top + (corner - inner_top) * blend
    low_side = inner_low + (corner - inner_low) * (blend + 0.05) * (1 - 0.6 * np.minimum(1.0, au[26]))
    skin_lip = mix(faces.skin, (170, 44, 56), np.where(faces.woman, 0.5, 0.3))
    w, s = half, half * square

    upper_edge = [
        (-s, top_side - thick_up - 0.6 * lift),
        (-1.8, inner_top - 1.3 * thick_up - 0.4 * lift),
        (0, inner_top - thick_up - 0.4 * lift),
    ]
    lips = [(-w, corner), *upper_edge, *[(-x, py) for x, py in reversed(upper_edge[:-1])], (w, corner)]
    low_edge = [
        (s, low_side + 0.9 * thick_low),
        (s * 0.45, inner_low + thick_low),
        (-s * 0.45, inner_low + thick_low),
        (-s, low_side + 0.9 * thick_low),
    ]
    lip_top = inner_top - thick_up - 0.8 * lift
    half_width = 8.5 + 2 * au[12]
    end = corner * 0.3 + lip_top * 0.7 + 1.2
    top = [(-4, lip_top - 2.0), (0, lip_top - 1.4), (4, lip_top - 2.0)]
    moustache = [(-half_width, end), *top, (half_width, end), (0, lip_top + 0.6)]
    yield Shape(moustache, mix(faces.hair, faces.skin, 0.2), shown=faces.beard != "none")
    yield Shape([*lips, *low_edge], skin_lip, width=0.6)
    parted = inner_low - inner_top > 0.7
    inside = [
        (-w * 0.9, corner),
        (-s, top_side),
        (0, inner_top),
        (s, top_side),
        (w * 0.9, corner),
        (s, low_side),
        (0, inner_low),
        (-s, low_side),
    ]
    yield Shape(inside, (58, 14, 18), width=0.5, shown=parted)
    depth = np.minimum(2.6, 0.75 * (inner_low - inner_top))
    teeth = [
        (-s, top_side + 0.1),
        (0, inner_top + 0.1),
        (s, top_side + 0.1),
        (s * 0.85, top_side + depth),
        (0, inner_top + depth),
        (-s * 0.85, top_side + depth),
    ]
    yield Shape(teeth, (244, 240, 230), ink=False, shown=parted & (au[12] + au[10] + au[20] > 0.3))
    teeth = [
        (-s * 0.8, low_side - 0.1),
        (0, inner_low - 0.1),
        (s * 0.8, low_side - 0.1),
        (s * 0.7, low_side - 1.4),
        (0, inner_low - 1.4),
        (-s * 0.7, low_side - 1.4),
    ]
    yield Shape(teeth, (236, 230, 218), ink=False, shown=parted & (au[16] > 0.4))
    line = [(-w, corner), (-s, top_side), (0, inner_top), (s, top_side), (w, corner)]
    yield Shape(line, dark, closed=False, width=1.0 + 0.5 * au[24], shown=~parted)
    tuck = [(w, corner), (w + 1.3, corner - 1.6 * au[12] + 1.6 * au[15])]
    yield from both_sides([Shape(tuck, dark, closed=False, width=1.0)])
