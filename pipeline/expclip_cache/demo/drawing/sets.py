"""A set of demo faces on disk: pictures or short clips, in a folder per expression or in one heap.

    <out>/<expression>/<00042>.png            labelled pictures
    <out>/<00042>.png                         unlabelled pictures
    <out>/<expression>/<00042>/<000>.png      labelled clips, one folder of frames each

Item i of a set depends on the set's seed and on i alone, so sets of different seeds share no person.
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
from expclip_cache.demo.drawing.dice import Dice
from expclip_cache.demo.drawing.faces import draw_face
from expclip_cache.demo.drawing.identity import Identity, sample_identity
from expclip_cache.demo.drawing.styles import grey_and_small, occluded
from expclip_cache.demo.settings import DemoSetSettings

FRAMES = 20
"""Frames of a clip, from onset to apex."""

_CHUNK = 64
_ALONE = 512
"""Sets up to this many pictures are drawn in the calling process: starting others takes about as long."""


@dataclass(frozen=True)
class Face:
    """What is known about item `index` of a set before it is drawn."""

    expression: str
    who: Identity
    units: dict[int, float]


def plan_face(seed: int, index: int) -> Face:
    """Person and expression of one item; the expressions take turns, so that the classes are balanced."""
    expression = EXPRESSIONS[index % len(EXPRESSIONS)]
    return Face(
        expression,
        sample_identity(Dice(seed, index, 0)),
        sample_action_units(expression, Dice(seed, index, 1)),
    )


def draw_item(params: DemoSetSettings, index: int) -> list[np.ndarray]:
    """Draw one item of a set.

    Returns:
        One picture, or the frames of a clip in order; each (64, 64, 3) uint8, red-green-blue.
    """
    face = plan_face(params.seed, index)
    if params.kind == "images":
        return [_styled(params, face.who, face.units, Dice(params.seed, index, 2))]
    scene, motion = (params.seed, index, 2), Dice(params.seed, index, 3)
    still = sample_action_units("neutral", motion)
    onset, pose, frames = motion.uniform(0.05, 0.4), face.who.pose, []
    for frame in range(FRAMES):
        share = min(1.0, max(0.0, (frame / (FRAMES - 1) - onset) / 0.4))
        share = share * share * (3 - 2 * share)
        units = {unit: still[unit] + (apex - still[unit]) * share for unit, apex in face.units.items()}
        pose = pose.nudged(motion)
        frames.append(_styled(params, face.who.posed(pose), units, Dice(*scene)))
    return frames


def render_set(params: DemoSetSettings, out: Path, progress: Callable[[int], None] | None = None) -> None:
    """Draw a whole set.

    Args:
        params: how many, which seed, style, kind, and whether folders name the expression.
        out: the folder to fill; it must be new or empty, so that leftovers of another set cannot mix in.
        progress: called with the number of items finished since the last call.

    Raises:
        DataError: `out` is not empty.
    """
    if out.exists() and any(out.iterdir()):
        raise DataError(f"{out}: expected a new or empty folder for a demo set, found files in it. Delete it first.")
    folders = {out / expression if params.labelled else out for expression in EXPRESSIONS}
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
    chunks = [range(start, min(start + _CHUNK, params.count)) for start in range(0, params.count, _CHUNK)]
    draw = partial(_write_chunk, params, out)
    pictures = params.count * (FRAMES if params.kind == "clips" else 1)
    if pictures <= _ALONE:
        for chunk in chunks:
            draw(chunk)
            if progress:
                progress(len(chunk))
        return
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        for chunk, _ in zip(chunks, pool.map(draw, chunks), strict=True):
            if progress:
                progress(len(chunk))


def _write_chunk(params: DemoSetSettings, out: Path, chunk: range) -> None:
    for index in chunk:
        folder = out / EXPRESSIONS[index % len(EXPRESSIONS)] if params.labelled else out
        pictures = draw_item(params, index)
        if params.kind == "images":
            _write(folder / f"{index:05d}.png", pictures[0])
            continue
        (folder / f"{index:05d}").mkdir()
        for number, picture in enumerate(pictures):
            _write(folder / f"{index:05d}" / f"{number:03d}.png", picture)


def _write(path: Path, picture: np.ndarray) -> None:
    import cv2

    done, data = cv2.imencode(".png", picture[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 1])
    assert done
    path.write_bytes(data.tobytes())


def _styled(params: DemoSetSettings, who: Identity, units: dict[int, float], dice: Dice) -> np.ndarray:
    """Draw a face in the set's style."""
    picture = draw_face(who, units, dice, drawing=params.style == "drawing")
    if params.style == "grey":
        return grey_and_small(picture, dice)
    if params.style == "occluded":
        return occluded(picture, dice)
    return picture
