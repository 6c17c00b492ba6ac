"""Draw demo faces: deterministic, in about a millisecond each, and not based on any photograph.

Outlines are Catmull-Rom curves that are rotated with an ellipsoidal head, filled at twice the final size and averaged
down. Coordinates are rounded to 1/16 pixel before drawing, and everything after that is integer arithmetic, so that
differences in the last digit of a sine do not reach the pixels. NumPy computes the shapes of many faces at once, OpenCV
draws one after the other.
"""

from collections.abc import Iterator, Sequence
from functools import cache
from math import cos, sin
from typing import Any

import cv2
import numpy as np

from expclip_cache.demo.drawing.creases import creases_shapes
from expclip_cache.demo.drawing.curves import SCALE, SHIFT, SIZE, curves_of
from expclip_cache.demo.drawing.face_batch import FaceBatch, batch_of
from expclip_cache.demo.drawing.head_shapes import extras_shapes, head_shapes
from expclip_cache.demo.drawing.mouth import mouth_shapes
from expclip_cache.demo.drawing.person import SCENES, Colour, Person
from expclip_cache.demo.drawing.random_stream import RandomStream
from expclip_cache.demo.drawing.shape import Shape, both_sides, mix
from expclip_cache.demo.drawing.upper_face import brow_shape, eye_shapes, nose_shapes

_SIDE = SIZE * SCALE
_PAPER: Colour = (247, 246, 242)
_INK: Colour = (44, 42, 50)


def draw_faces(
    people: Sequence[Person], units: Sequence[dict[int, float]], rngs: Sequence[RandomStream], drawing: bool = False
) -> np.ndarray:
    """Draw n faces.

    Args:
        people: the person, the scene and the pose of each face.
        units: of each face, the intensity of every action unit.
        rngs: of each face, the source of randomness for the details of the background.
        drawing: line drawings in ink instead of colours.

    Returns:
        (n, 64, 64, 3) uint8, RGB.
    """
    faces = batch_of(people, units)
    shapes = [shape for shape in _face_shapes(faces) if np.any(shape.shown)]
    curves, places = curves_of(shapes, [person.pose for person in people])
    images = np.empty((len(people), SIZE, SIZE, 3), np.uint8)
    canvas = np.empty((_SIDE, _SIDE, 3), np.uint8)
    looks_of_all = _looks(shapes, len(people), drawing)
    for image, person, rng, curve, *looks in zip(images, people, rngs, curves, *looks_of_all, strict=True):
        if drawing:
            canvas[:] = _filled(_PAPER)
        else:
            _draw_scene(canvas, person, rng)
        for shape, place, shown, colour, width in zip(shapes, places, *looks, strict=True):
            if not shown:
                continue
            points = [curve[place]]
            if shape.closed:
                cv2.fillPoly(canvas, points, colour, cv2.LINE_AA, SHIFT)
            if drawing or not shape.closed:
                cv2.polylines(canvas, points, shape.closed, _INK if drawing else colour, width, cv2.LINE_AA, SHIFT)
        cv2.resize(canvas, (SIZE, SIZE), image, interpolation=cv2.INTER_AREA)
        if not drawing:
            _light(image, person)
    return images


def _face_shapes(faces: FaceBatch) -> Iterator[Shape]:
    """All shapes of n faces, in drawing order."""
    dark = mix(faces.skin, (40, 14, 10), 0.62)
    yield from head_shapes(faces)
    yield from creases_shapes(faces, dark)
    yield from both_sides([*eye_shapes(faces), brow_shape(faces)])
    yield from nose_shapes(faces, dark)
    yield from mouth_shapes(faces, dark)
    yield from extras_shapes(faces)


def _looks(shapes: Sequence[Shape], count: int, drawing: bool) -> tuple[list[list[bool]], list[Any], list[list[int]]]:
    """Whether each face shows each shape, in which colour, and with lines how wide: three lists of n lists.

    A line drawing fills an area with paper colour, which hides what is behind it, and outlines it in ink.
    """
    shown = np.array([np.broadcast_to(s.shown & s.ink if drawing else s.shown, count) for s in shapes])
    colours = np.array([np.broadcast_to(shape.colour, (count, 3)) for shape in shapes])
    if drawing:
        colours = np.where(colours.sum(axis=2, keepdims=True) < 140, _INK, _PAPER)
    widths = np.array([np.broadcast_to(shape.width, count) for shape in shapes])
    widths = np.maximum(1, np.rint(widths * SCALE))
    return shown.T.tolist(), colours.astype(int).swapaxes(0, 1).tolist(), widths.astype(int).T.tolist()


def _draw_scene(canvas: np.ndarray, person: Person, rng: RandomStream) -> None:
    """Three bands in the scene's colours, with a few discs on them."""
    colours = SCENES[person.scene]
    cuts = (0, int(_SIDE * rng.uniform(0.3, 0.45)), int(_SIDE * rng.uniform(0.6, 0.75)), _SIDE)
    for colour, top, bottom in zip(colours, cuts[:-1], cuts[1:], strict=True):
        canvas[top:bottom] = _filled(colour)[top:bottom]
    for _ in range(7):
        colour = [min(255, max(0, part + int(rng.bell(16)))) for part in rng.choose(colours)]
        centre = (int(rng.uniform(0, _SIDE)), int(rng.uniform(0, _SIDE)))
        cv2.circle(canvas, centre, int(rng.uniform(4, 13)), colour, -1, cv2.LINE_AA)


@cache
def _filled(colour: Colour) -> np.ndarray:
    """A canvas of one colour; copying it is much faster than filling one."""
    return np.full((_SIDE, _SIDE, 3), colour, np.uint8)


def _light(image: np.ndarray, person: Person) -> None:
    """Lighting, in place: bright or dim, and stronger from one side."""
    along = _ACROSS * np.float32(cos(person.light_angle)) + _DOWN * np.float32(sin(person.light_angle))
    gain = np.rint((1.0 + 0.16 * person.light + 0.2 * along) * 256).astype(np.int32)
    flat = image.reshape(SIZE, -1)
    gain *= flat
    gain >>= 8
    np.minimum(gain, 255, out=flat, casting="unsafe")


_DOWN = np.linspace(-1, 1, SIZE, dtype=np.float32)[:, None]
_ACROSS = np.repeat(_DOWN[:, 0], 3)
"""Where a row is, from -1 to 1, and where each number of a row is."""
