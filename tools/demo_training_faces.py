"""Faces to train the demo's encoders on, with what is known about each; and mild augmentation.

Training seeds start at `FIRST_SEED`; the demo's own sets use small seeds, so no person is in both.
"""

from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context

import numpy as np
import torch
import torch.nn.functional as F

from expclip_cache.demo import (
    ACTION_UNITS,
    AGES,
    BEARDS,
    FRAMES,
    HAIR_COLOURS,
    HAIR_STYLES,
    SCENES,
    SHIRTS,
    DemoSetSettings,
    Face,
    draw_item,
    plan_face,
)

FIRST_SEED = 900_000

SHOWN_FRAMES = [int(FRAMES / 16 * (k + 0.5)) for k in range(16)]
"""The 16 frames of a clip that the project's sampling picks."""


@dataclass(frozen=True)
class TrainingFaces:
    """Rendered faces and their truth.

    Attributes:
        pixels: (n, 3, 64, 64) uint8.
        units: (n, 17) float32, intensities of the action units in the order of `ACTION_UNITS`.
        traits: (n, k) float32, everything else in numbers, one-hot where it is a choice.
        faces: the n plans, for captions.
    """

    pixels: torch.Tensor
    units: torch.Tensor
    traits: torch.Tensor
    faces: list[Face]


def render_training_faces(count: int, seed: int, style: str = "clean", workers: int = 2) -> TrainingFaces:
    """Render `count` faces into memory (12 KB each)."""
    params = DemoSetSettings(count=count, seed=seed, style=style)
    faces = [plan_face(seed, index) for index in range(count)]
    return TrainingFaces(
        pixels=draw_pixels(params, workers),
        units=torch.tensor([[face.units[unit] for unit in ACTION_UNITS] for face in faces]),
        traits=torch.tensor([_traits(face) for face in faces]),
        faces=faces,
    )


def draw_pixels(params: DemoSetSettings, workers: int = 2) -> torch.Tensor:
    """(n, 3, 64, 64) uint8, or (n * 16, 3, 64, 64) the shown frames of clips, clip by clip."""
    chunks = [range(start, min(start + 100, params.count)) for start in range(0, params.count, 100)]
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        return torch.from_numpy(np.concatenate(list(pool.map(partial(_draw, params), chunks))))


def _draw(params: DemoSetSettings, chunk: range) -> np.ndarray:
    items = [np.stack(draw_item(params, index)) for index in chunk]
    shown = [item[SHOWN_FRAMES] if params.kind == "clips" else item for item in items]
    return np.concatenate(shown).transpose(0, 3, 1, 2)


def _traits(face: Face) -> list[float]:
    who = face.who
    choices = [
        (who.age, AGES), (who.hair, HAIR_COLOURS), (who.hair_style, HAIR_STYLES), (who.beard, BEARDS),
        (who.scene, SCENES), (who.shirt, SHIRTS),
    ]  # fmt: skip
    numbers = [who.woman, who.glasses, who.light, who.pose.yaw, who.pose.pitch, sum(who.skin) / 765]
    return [float(number) for number in numbers] + [float(x == y) for x, all_ in choices for y in all_]


def augmented(pixels: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Mirror, brightness, colour cast, blur, noise and small erased boxes, each face its own.

    Args:
        pixels: (b, 3, h, w) float32 in [0, 1].
        generator: the source of chance.

    Returns:
        The same shape, in [0, 1]. No picture becomes grey, a drawing or hidden by more than a small box.
    """
    count, _, height, width = pixels.shape
    device = pixels.device

    def draw(*shape: int) -> torch.Tensor:
        return torch.rand(shape, generator=generator).to(device)

    mirrored = draw(count, 1, 1, 1) < 0.5
    pixels = torch.where(mirrored, pixels.flip(3), pixels)
    gain = 0.75 + 0.5 * draw(count, 1, 1, 1) + 0.2 * (draw(count, 3, 1, 1) - 0.5)
    pixels = pixels * gain + 0.2 * (draw(count, 1, 1, 1) - 0.5)
    blurred = F.avg_pool2d(F.pad(pixels, (1, 1, 1, 1), mode="replicate"), 3, 1)
    pixels = torch.where(draw(count, 1, 1, 1) < 0.25, blurred, pixels)
    pixels = pixels + 0.06 * draw(count, 1, 1, 1) * (draw(count, 1, height, width) - 0.5)
    rows, columns = torch.arange(height, device=device), torch.arange(width, device=device)
    top, left = draw(count, 1) * height, draw(count, 1) * width
    tall, wide = 6 + 10 * draw(count, 1), 6 + 10 * draw(count, 1)
    box = ((rows >= top) & (rows < top + tall))[:, None, :, None] & ((columns >= left) & (columns < left + wide))[
        :, None, None
    ]
    box &= draw(count, 1, 1, 1) < 0.4
    return torch.where(box, draw(count, 3, 1, 1), pixels).clamp(0, 1)
