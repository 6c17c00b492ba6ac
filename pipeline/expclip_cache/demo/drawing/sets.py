"""A set of demo faces on disk: images or short clips, in one folder per expression or all in one folder.

    <out>/<expression>/<00042>.png            labelled images
    <out>/<00042>.png                         unlabelled images
    <out>/<expression>/<00042>/<000>.png      labelled clips, one folder of frames each

Item i of a set depends only on i and the set's seed, so sets with different seeds share no person.
"""

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from expclip_cache.base import DataError
from expclip_cache.demo.drawing.action_units import EXPRESSIONS, sample_action_units
from expclip_cache.demo.drawing.faces import draw_face
from expclip_cache.demo.drawing.person import Person, sample_person
from expclip_cache.demo.drawing.random_stream import RandomStream
from expclip_cache.demo.drawing.styles import grey_and_small, occluded
from expclip_cache.demo.settings import DemoSetSettings

FRAMES = 20
"""Frames per clip, from onset to apex."""

_CHUNK = 64
_SMALL = 512
"""Sets of up to this many images are drawn in the calling process: starting workers would take about as long."""


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


def draw_item(settings: DemoSetSettings, index: int) -> list[np.ndarray]:
    """Draw one item of a set.

    Returns:
        One image, or the frames of a clip in order; each (64, 64, 3) uint8, RGB.
    """
    face = plan_face(settings.seed, index)
    if settings.kind == "images":
        return [_styled(settings, face.person, face.units, RandomStream(settings.seed, index, 2))]
    scene, motion = (settings.seed, index, 2), RandomStream(settings.seed, index, 3)
    still = sample_action_units("neutral", motion)
    onset, pose, frames = motion.uniform(0.05, 0.4), face.person.pose, []
    for frame in range(FRAMES):
        share = min(1.0, max(0.0, (frame / (FRAMES - 1) - onset) / 0.4))
        share = share * share * (3 - 2 * share)
        units = {unit: still[unit] + (apex - still[unit]) * share for unit, apex in face.units.items()}
        pose = pose.nudged(motion)
        frames.append(_styled(settings, face.person.posed(pose), units, RandomStream(*scene)))
    return frames


def render_set(settings: DemoSetSettings, out: Path, progress: Callable[[int], None] | None = None) -> None:
    """Draw a whole set.

    Args:
        settings: of the set.
        out: the folder to fill; it must be new or empty, so that files of another set cannot mix in.
        progress: called with the number of items finished since the last call.

    Raises:
        DataError: `out` is not empty.
    """
    if out.exists() and any(out.iterdir()):
        raise DataError(
            f"{out}: expected a new or empty folder for a demo set, found files in it. Delete it "
            "or choose another folder."
        )
    folders = {out / expression if settings.labelled else out for expression in EXPRESSIONS}
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
    chunks = [range(start, min(start + _CHUNK, settings.count)) for start in range(0, settings.count, _CHUNK)]
    draw = partial(_write_chunk, settings, out)
    images = settings.count * (FRAMES if settings.kind == "clips" else 1)
    if images <= _SMALL:
        for chunk in chunks:
            draw(chunk)
            if progress:
                progress(len(chunk))
        return
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        for chunk, _ in zip(chunks, pool.map(draw, chunks), strict=True):
            if progress:
                progress(len(chunk))


def _write_chunk(settings: DemoSetSettings, out: Path, chunk: range) -> None:
    for index in chunk:
        folder = out / EXPRESSIONS[index % len(EXPRESSIONS)] if settings.labelled else out
        images = draw_item(settings, index)
        if settings.kind == "images":
            _write(folder / f"{index:05d}.png", images[0])
            continue
        (folder / f"{index:05d}").mkdir()
        for number, image in enumerate(images):
            _write(folder / f"{index:05d}" / f"{number:03d}.png", image)


def _write(path: Path, image: np.ndarray) -> None:
    import cv2

    encoded, data = cv2.imencode(".png", image[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 1])
    assert encoded
    path.write_bytes(data.tobytes())


def _styled(settings: DemoSetSettings, person: Person, units: dict[int, float], rng: RandomStream) -> np.ndarray:
    """Draw a face in the set's style."""
    image = draw_face(person, units, rng, drawing=settings.style == "drawing")
    if settings.style == "grey":
        return grey_and_small(image, rng)
    if settings.style == "occluded":
        return occluded(image, rng)
    return image
