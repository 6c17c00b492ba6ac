"""The mouth, and how action units move it."""

from collections.abc import Iterator

from expclip_cache.demo.drawing.person import HAIR_COLOURS, Colour, Person
from expclip_cache.demo.drawing.shape import Shape, mix


def mouth_shapes(person: Person, units: dict[int, float], dark: Colour) -> Iterator[Shape]:
    """The lips and, if they are parted, the inside of the mouth with teeth."""
    au = units
    y = 13.6 + person.mouth_height - 1.6 * au[17] + 0.8 * au[26]
    half = (8.2 + person.mouth_width) * (
        1 + 0.42 * au[12] + 0.5 * au[20] - 0.2 * au[23] - 0.16 * au[26] - 0.12 * au[17]
    )
    corner = y + person.mouth_tilt - 5.0 * au[12] + 5.0 * au[15] + 1.6 * au[20]
    press = max(0.3, 1 - 0.65 * au[23] - 0.75 * au[24] - 0.25 * au[12] - 0.35 * au[20])
    thick_up = (1.5 + 0.9 * person.lip) * press
    thick_low = (2.2 + 0.9 * person.lip) * press
    gap_up = 0.4 * au[25] + 2.6 * au[10] * (0.3 + 0.7 * au[25]) + 1.0 * au[9] * au[25] + 0.5 * au[12] * au[25]
    gap_low = 1.7 * au[25] + 9.5 * au[26] * min(1.0, 2 * au[25]) + 2.8 * au[16]
    lift = 2.1 * au[10] + 0.8 * au[9]
    sag = 0.12 * (corner - y)
    inner_top = y - gap_up - 0.5 * lift + sag
    inner_low = y + gap_low - 0.9 * au[17] + sag
    inner_low = max(inner_low, inner_top)
    square = 0.62 + 0.16 * au[10] + 0.12 * au[20]
    blend = (1 - square) * 0.9
    top_side = inner_top + (corner - inner_top) * blend
    low_side = inner_low + (corner - inner_low) * (blend + 0.05) * (1 - 0.6 * min(1.0, au[26]))
    skin_lip = mix(person.skin, (170, 44, 56), 0.5 if person.woman else 0.3)
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
    if person.beard != "none":
        hair = mix(HAIR_COLOURS[person.hair], person.skin, 0.2)
        lip_top = inner_top - thick_up - 0.8 * lift
        half_width = 8.5 + 2 * au[12]
        end = corner * 0.3 + lip_top * 0.7 + 1.2
        top = [(-4, lip_top - 2.0), (0, lip_top - 1.4), (4, lip_top - 2.0)]
        moustache = [(-half_width, end), *top, (half_width, end), (0, lip_top + 0.6)]
        yield Shape(moustache, hair)
    yield Shape([*lips, *low_edge], skin_lip, width=0.6)
    if inner_low - inner_top > 0.7:
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
        yield Shape(inside, (58, 14, 18), width=0.5)
        depth = min(2.6, 0.75 * (inner_low - inner_top))
        if au[12] + au[10] + au[20] > 0.3:
            teeth = [
                (-s, top_side + 0.1),
                (0, inner_top + 0.1),
                (s, top_side + 0.1),
                (s * 0.85, top_side + depth),
                (0, inner_top + depth),
                (-s * 0.85, top_side + depth),
            ]
            yield Shape(teeth, (244, 240, 230), ink=False)
        if au[16] > 0.4:
            teeth = [
                (-s * 0.8, low_side - 0.1),
                (0, inner_low - 0.1),
                (s * 0.8, low_side - 0.1),
                (s * 0.7, low_side - 1.4),
                (0, inner_low - 1.4),
                (-s * 0.7, low_side - 1.4),
            ]
            yield Shape(teeth, (236, 230, 218), ink=False)
    else:
        yield Shape(
            [(-w, corner), (-s, top_side), (0, inner_top), (s, top_side), (w, corner)],
            dark,
            closed=False,
            width=1.0 + 0.5 * au[24],
        )
    for side in (-1.0, 1.0):
        tuck = [(w * side, corner), ((w + 1.3) * side, corner - 1.6 * au[12] + 1.6 * au[15])]
        yield Shape(tuck, dark, closed=False, width=1.0)
