"""The faces that the demo's encoders are trained on, with their labels, and a mild augmentation.

Training seeds start at `FIRST_SEED`; the demo's own sets have small seeds, so no person is in both.
"""

from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context

import numpy as np
import torch
import torch.nn.functional as F

from expclip_cache.datasets import sample_indices
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
    FaceSpec,
    Style,
    draw_items,
    plan_face,
)

FIRST_SEED = 900_000

SAMPLED_FRAMES = list(sample_indices(FRAMES, 16, "edge"))
"""The 16 frames of a clip that `datasets.sample_indices` picks."""


@dataclass(frozen=True)
class TrainingFaces:
    """Rendered faces and their labels.

    Attributes:
        pixels: (n, 3, 64, 64) uint8.
        units: (n, 17) float32, intensities of the action units in the order of `ACTION_UNITS`.
        traits: (n, k) float32, traits of person and scene, categories one-hot.
        faces: the n items before drawing, for captions.
    """

    pixels: torch.Tensor
    units: torch.Tensor
    traits: torch.Tensor
    faces: list[FaceSpec]


def render_training_faces(count: int, seed: int, style: Style = "clean", workers: int = 2) -> TrainingFaces:
    """Render `count` faces into memory (12 KB each)."""
    settings = DemoSetSettings(count=count, seed=seed, style=style)
    faces = [plan_face(seed, index) for index in range(count)]
    return TrainingFaces(
        pixels=draw_pixels(settings, workers),
        units=torch.tensor([[face.units[unit] for unit in ACTION_UNITS] for face in faces]),
        traits=torch.tensor([_traits(face) for face in faces]),
        faces=faces,
    )


def draw_pixels(settings: DemoSetSettings, workers: int = 2) -> torch.Tensor:
    """(n, 3, 64, 64) uint8; for clips (n * 16, 3, 64, 64), the sampled frames of clip after clip."""
    chunks = [range(start, min(start + 100, settings.count)) for start in range(0, settings.count, 100)]
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        return torch.from_numpy(np.concatenate(list(pool.map(partial(_draw, settings), chunks))))


def _draw(settings: DemoSetSettings, chunk: range) -> np.ndarray:
    items = draw_items(settings, chunk)
    sampled = items[:, SAMPLED_FRAMES] if settings.kind == "clips" else items
    return sampled.reshape(-1, *items.shape[2:]).transpose(0, 3, 1, 2)


def _traits(face: FaceSpec) -> list[float]:
    person = face.person
    choices = [
        (person.age, AGES), (person.hair, HAIR_COLOURS), (person.hair_style, HAIR_STYLES), (person.beard, BEARDS),
        (person.scene, SCENES), (person.shirt, SHIRTS),
    ]  # fmt: skip
    numbers = [person.woman, person.glasses, person.light, person.pose.yaw, person.pose.pitch, sum(person.skin) / 765]
    return [float(number) for number in numbers] + [float(x == y) for x, all_ in choices for y in all_]


def augmented(pixels: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Mirror images, change brightness and colour cast, blur, add noise and erase small boxes, independently per face.

    Args:
        pixels: (b, 3, h, w) float32 in [0, 1].
        generator: source of randomness.

    Returns:
        The same shape, in [0, 1]. No image becomes grey or a drawing, and only small boxes are hidden.
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
