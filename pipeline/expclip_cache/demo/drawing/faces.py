"""Draw a demo face: deterministic, in about a millisecond, and not based on any photograph.

Outlines are Catmull-Rom curves that are rotated with an ellipsoidal head, filled at twice the final size and averaged
down. Coordinates are rounded to 1/16 pixel before drawing, and everything after that is integer arithmetic, so that
differences in the last digit of a sine do not reach the pixels.
"""

from collections.abc import Iterator
from functools import cache
from math import cos, sin

import cv2
import numpy as np

from expclip_cache.demo.drawing.creases import creases_shapes
from expclip_cache.demo.drawing.head_shapes import extras_shapes, head_shapes
from expclip_cache.demo.drawing.mouth import mouth_shapes
from expclip_cache.demo.drawing.person import SCENES, Person, Pose
from expclip_cache.demo.drawing.random_stream import RandomStream
from expclip_cache.demo.drawing.shape import Shape, mix
from expclip_cache.demo.drawing.upper_face import brow_shape, eye_shapes, nose_shapes

SIZE = 64
"""Side of an image, in pixels."""

_SCALE = 2
"""Faces are drawn at this many times the final size."""

_SHIFT = 4
"""Fractional bits of a coordinate."""

_STEPS = 4
"""Points on a curve per control point."""

_TIGHT = 1.08
"""Zoom of the image relative to the frame of the shapes' coordinates."""

_PAPER = (247, 246, 242)


def draw_face(person: Person, units: dict[int, float], rng: RandomStream, drawing: bool = False) -> np.ndarray:
    """Draw one face.

    Args:
        person: the person, the scene and the pose.
        units: intensity of every action unit.
        rng: source of randomness for the details of the background.
        drawing: a line drawing in ink instead of colours.

    Returns:
        (64, 64, 3) uint8, RGB.
    """
    cv2.setNumThreads(1)
    side = SIZE * _SCALE
    canvas = np.full((side, side, 3), _PAPER, np.uint8)
    if not drawing:
        _draw_scene(canvas, person, rng)
    shapes = list(_face_shapes(person, units))
    for shape, curve in zip(shapes, _curves(shapes, person.pose), strict=True):
        if drawing:
            _draw_ink(canvas, shape, curve)
        elif shape.closed:
            cv2.fillPoly(canvas, [curve], shape.colour, cv2.LINE_AA, _SHIFT)
        else:
            width = max(1, round(shape.width * _SCALE))
            cv2.polylines(canvas, [curve], False, shape.colour, width, cv2.LINE_AA, _SHIFT)
    small = cv2.resize(canvas, (SIZE, SIZE), interpolation=cv2.INTER_AREA)
    return small if drawing else _lit(small, person)


def _face_shapes(person: Person, units: dict[int, float]) -> Iterator[Shape]:
    """All shapes of a face, in drawing order."""
    dark = mix(person.skin, (40, 14, 10), 0.62)
    yield from head_shapes(person, units)
    yield from creases_shapes(person, units, dark)
    for side in (-1.0, 1.0):
        yield from eye_shapes(person, units, side)
        yield brow_shape(person, units, side)
    yield from nose_shapes(person, units, dark)
    yield from mouth_shapes(person, units, dark)
    yield from extras_shapes(person)


def _draw_ink(canvas: np.ndarray, shape: Shape, curve: np.ndarray) -> None:
    """Draw a shape in ink: an area is filled with paper colour, which hides what is behind it, and then outlined."""
    ink = (44, 42, 50)
    if not shape.ink:
        return
    if shape.closed:
        cv2.fillPoly(canvas, [curve], ink if sum(shape.colour) < 140 else _PAPER, cv2.LINE_AA, _SHIFT)
    width = max(1, round(shape.width * _SCALE))
    cv2.polylines(canvas, [curve], shape.closed, ink, width, cv2.LINE_AA, _SHIFT)


def _draw_scene(canvas: np.ndarray, person: Person, rng: RandomStream) -> None:
    """Three bands in the scene's colours, with a few discs on them."""
    side = canvas.shape[0]
    colours = SCENES[person.scene]
    cuts = (0, int(side * rng.uniform(0.3, 0.45)), int(side * rng.uniform(0.6, 0.75)), side)
    for colour, top, bottom in zip(colours, cuts[:-1], cuts[1:], strict=True):
        canvas[top:bottom] = colour
    for _ in range(7):
        colour = [min(255, max(0, part + int(rng.bell(16)))) for part in rng.choose(colours)]
        centre = (int(rng.uniform(0, side)), int(rng.uniform(0, side)))
        cv2.circle(canvas, centre, int(rng.uniform(4, 13)), colour, -1, cv2.LINE_AA)


def _lit(image: np.ndarray, person: Person) -> np.ndarray:
    """Lighting: bright or dim, and stronger from one side."""
    along = _RAMP[None, :] * np.float32(cos(person.light_angle)) + _RAMP[:, None] * np.float32(sin(person.light_angle))
    gain = np.rint((1.0 + 0.16 * person.light + 0.2 * along) * 256).astype(np.int32)
    return np.minimum((image * gain[..., None]) >> 8, 255).astype(np.uint8)


_RAMP = np.linspace(-1, 1, SIZE, dtype=np.float32)


@cache
def _spline(count: int, closed: bool) -> np.ndarray:
    """The matrix from `count` control points to a Catmull-Rom curve through them, float64 (m, count)."""
    segments = count if closed else count - 1
    matrix = np.zeros((segments * _STEPS + (not closed), count))
    for row in range(len(matrix)):
        segment, t = divmod(row, _STEPS)
        t /= _STEPS
        weights = (-t + 2 * t**2 - t**3, 2 - 5 * t**2 + 3 * t**3, t + 4 * t**2 - 3 * t**3, t**3 - t**2)
        for offset, weight in zip((-1, 0, 1, 2), weights, strict=True):
            index = segment + offset
            matrix[row, index % count if closed else min(max(index, 0), count - 1)] += weight / 2
    return matrix


def _curves(shapes: list[Shape], pose: Pose) -> list[np.ndarray]:
    """Smooth, rotate and place all shapes; each curve is (m, 2) int32 in fixed-point coordinates."""
    dense = [_spline(len(shape.points), shape.closed) @ np.array(shape.points) for shape in shapes]
    lengths = [len(curve) for curve in dense]
    xy = np.concatenate(dense)
    on_face = np.repeat([shape.on_face for shape in shapes], lengths)
    x, y = xy[:, 0], xy[:, 1]
    depth = 20.0 * np.sqrt(np.maximum(0.0, 1.0 - (x / 28.0) ** 2 - (y / 36.0) ** 2)) * on_face
    x, y = x * cos(pose.yaw) + depth * sin(pose.yaw), y * cos(pose.pitch) + depth * sin(pose.pitch)
    rotated = np.stack([x * cos(pose.roll) - y * sin(pose.roll), x * sin(pose.roll) + y * cos(pose.roll)], axis=1)
    placed = rotated * pose.scale * _TIGHT + (SIZE / 2 + pose.shift_x, SIZE / 2 + pose.shift_y - 1.0)
    fixed = np.rint(placed * (_SCALE << _SHIFT)).astype(np.int32)
    return np.split(fixed, np.cumsum(lengths)[:-1])
