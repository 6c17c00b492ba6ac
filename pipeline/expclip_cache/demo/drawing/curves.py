"""From control points to the curves that OpenCV draws: smoothed, rotated with the head and placed in the image."""

from collections.abc import Callable, Sequence
from functools import cache
from math import cos, sin

import numpy as np

from expclip_cache.demo.drawing.person import Pose
from expclip_cache.demo.drawing.shape import Shape

SIZE = 64
"""Side of an image, in pixels."""

SCALE = 2
"""Faces are drawn at this many times the final size."""

SHIFT = 4
"""Fractional bits of a coordinate."""

_STEPS = 4
"""Points on a curve per control point."""

_TIGHT = 1.08
"""Zoom of the image relative to the frame of the shapes' coordinates."""


def curves_of(shapes: Sequence[Shape], poses: Sequence[Pose]) -> tuple[np.ndarray, list[slice]]:
    """Smooth, rotate and place all shapes of n faces.

    Returns:
        (n, m, 2) int32 fixed-point coordinates x, y of all curves of a face, and where in m each shape's curve is.
    """
    splines = [_spline(len(shape.points), shape.closed) for shape in shapes]
    ends = np.cumsum([len(spline) for spline in splines])
    places = [slice(end - len(spline), end) for end, spline in zip(ends.tolist(), splines, strict=True)]
    xy = np.empty((ends[-1], 2, len(poses)))
    for shape, spline, place in zip(shapes, splines, places, strict=True):
        points = np.empty((len(shape.points), 2, len(poses)))
        for point, (x, y) in zip(points, shape.points, strict=True):
            point[0], point[1] = x, y
        np.matmul(spline, points.reshape(len(points), -1), out=xy[place].reshape(len(spline), -1))
    on_face = np.repeat([shape.on_face for shape in shapes], [len(spline) for spline in splines])
    return _placed(xy, on_face, poses), places


def _placed(xy: np.ndarray, on_face: np.ndarray, poses: Sequence[Pose]) -> np.ndarray:
    """Turn (m, 2, n) float64 coordinates around the ellipsoidal head into (n, m, 2) int32 ones in the images."""
    x, y = xy[:, 0], xy[:, 1]
    depth = 20.0 * np.sqrt(np.maximum(0.0, 1.0 - (x / 28.0) ** 2 - (y / 36.0) ** 2)) * on_face[:, None]
    yaw, pitch, roll = ([pose.yaw for pose in poses], [pose.pitch for pose in poses], [pose.roll for pose in poses])
    x = x * _each(cos, yaw) + depth * _each(sin, yaw)
    y = y * _each(cos, pitch) + depth * _each(sin, pitch)
    scale = np.array([pose.scale for pose in poses])
    placed = np.empty((len(poses), len(xy), 2), np.int32)
    for axis, turned, middle in (
        (0, x * _each(cos, roll) - y * _each(sin, roll), [SIZE / 2 + pose.shift_x for pose in poses]),
        (1, x * _each(sin, roll) + y * _each(cos, roll), [SIZE / 2 + pose.shift_y - 1.0 for pose in poses]),
    ):
        placed[..., axis] = np.rint((turned * scale * _TIGHT + middle) * (SCALE << SHIFT)).T
    return placed


def _each(function: Callable[[float], float], angles: list[float]) -> np.ndarray:
    """A function from `math` of each angle: NumPy's differs in the last digit between processors."""
    return np.array([function(angle) for angle in angles])


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
