"""The items of a set of demo faces: images, or short clips.

Item i of a set depends only on i and the set's seed, so sets with different seeds share no person.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from expclip_cache.demo.drawing.action_units import EXPRESSIONS, sample_action_units
from expclip_cache.demo.drawing.faces import draw_faces
from expclip_cache.demo.drawing.person import Person, sample_person
from expclip_cache.demo.drawing.random_stream import RandomStream
from expclip_cache.demo.drawing.styles import grey_and_small, occluded
from expclip_cache.demo.settings import DemoSetSettings

FRAMES = 20
"""Frames per clip, from onset to apex."""


@dataclass(frozen=True)
class FaceSpec:
    """One item of a set before it is drawn: its person, expression, and the action units at the apex."""

    expression: str
    person: Person
    units: dict[int, float]


def plan_face(seed: int, index: int) -> FaceSpec:
    """Person and expression of one item; the expressions alternate, so that the classes are balanced."""
    expression = EXPRESSIONS[index % len(EXPRESSIONS)]
    return FaceSpec(
        expression,
        sample_person(RandomStream(seed, index, 0)),
        sample_action_units(expression, RandomStream(seed, index, 1)),
    )


def draw_items(settings: DemoSetSettings, indices: Sequence[int]) -> np.ndarray:
    """Draw n items of a set, several times as fast as one after the other.

    Returns:
        (n, f, 64, 64, 3) uint8, RGB; f is 1 for images, and the frames of a clip are in order.
    """
    faces = [face for index in indices for face in _planned(settings, index)]
    images = draw_faces(*zip(*faces, strict=True), drawing=settings.style == "drawing")
    if restyled := _STYLES.get(settings.style):
        images = np.stack([restyled(image, rng) for image, (*_, rng) in zip(images, faces, strict=True)])
    return images.reshape(len(indices), -1, *images.shape[1:])


_STYLES = {"grey": grey_and_small, "occluded": occluded}


def _planned(settings: DemoSetSettings, index: int) -> Iterator[tuple[Person, dict[int, float], RandomStream]]:
    """Person, action units and background of an image, or of each frame of a clip."""
    face = plan_face(settings.seed, index)
    if settings.kind == "images":
        yield face.person, face.units, RandomStream(settings.seed, index, 2)
        return
    motion = RandomStream(settings.seed, index, 3)
    still = sample_action_units("neutral", motion)
    onset, pose = motion.uniform(0.05, 0.4), face.person.pose
    for frame in range(FRAMES):
        share = min(1.0, max(0.0, (frame / (FRAMES - 1) - onset) / 0.4))
        share = share * share * (3 - 2 * share)
        units = {unit: still[unit] + (apex - still[unit]) * share for unit, apex in face.units.items()}
        pose = pose.nudged(motion)
        yield face.person.posed(pose), units, RandomStream(settings.seed, index, 2)
