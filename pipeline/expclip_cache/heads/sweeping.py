"""Many contrastive heads at once from feature caches: every learning rate, weight decay, teacher and seed asked for."""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import torch

from expclip_cache.base import CacheError, Reporter, SettingsError
from expclip_cache.cache import FeatureCache, paired_rows
from expclip_cache.heads.cached_rows import CachedRows
from expclip_cache.heads.contrastive import Recipe, fit_heads
from expclip_cache.heads.head_file import write_head
from expclip_cache.heads.memory import fits
from expclip_cache.heads.ridge.teachers import open_images
from expclip_cache.heads.settings import TrainSettings


@dataclass(frozen=True)
class Swept:
    """One head of a sweep: its file's name without the suffix, how it came about, the mean loss of each epoch."""

    name: str
    targets: str
    recipe: Recipe
    losses: np.ndarray


def sweep(
    images: Path | str,
    targets: Sequence[Path | str],
    lrs: Sequence[float],
    weight_decays: Sequence[float],
    params: TrainSettings,
    out: Path,
    device: torch.device,
    report: Reporter,
) -> list[Swept]:
    """Train a head for every combination as one batched problem, in groups where memory asks for it.

    Args:
        images: cache of image features.
        targets: caches of the same pictures' targets, equally wide; one for each teacher.
        lrs, weight_decays: in place of the params'.
        params: seeds, epochs, batch size and momentum of all.
        out: folder for the heads and for `sweep.csv`, the loss of every head and epoch.

    Raises:
        CacheError: a cache cannot be used, or the pictures are not the same.
        SettingsError: a teacher is given twice, the targets are not equally wide, or there is not one full batch.
    """
    faces, teachers = open_images(images), [FeatureCache(folder) for folder in targets]
    if len(set(map(str, targets))) < len(targets):
        raise SettingsError("a cache of targets is given twice; seeds are what repeats a head.")
    widths = {teacher.width for teacher in teachers}
    if len(widths) > 1:
        raise SettingsError(f"expected targets of one width, found {sorted(widths)}. Sweep each LLM on its own.")
    rows = paired_rows(faces, *teachers)
    recipes = [
        Recipe(seed, lr, decay, teacher)
        for teacher, lr, decay, seed in product(range(len(teachers)), lrs, weight_decays, params.seeds)
    ]
    x, y = CachedRows([faces], rows), CachedRows(teachers, rows)
    resident = fits(4 * (x.shape[0] * x.shape[1] + y.shape[0] * y.shape[1]), device)
    if not resident:
        report.say(f"the training rows do not fit on {device}; reading each batch from the shards")
    groups = list(_groups(recipes, x.shape[1], y.shape[1], params.batch_size, device))
    steps = params.epochs * (len(rows) // params.batch_size) * len(groups)
    swept = []
    with report.bar(f"training {len(recipes)} heads on {device}", steps, "step") as bar:
        for group in groups:
            scale = faces.identity.encoder["logit_scale"]
            heads = fit_heads(
                x, y, scale, params, device, bar.advance, resident=resident, recipes=group, teachers=len(teachers)
            )
            for recipe, weights, losses in zip(group, heads.weights, heads.losses, strict=True):
                teacher = teachers[recipe.teacher]
                name = _name(recipe, str(targets[recipe.teacher]) if len(teachers) > 1 else "")
                settings = {"lr": recipe.lr, "weight_decay": recipe.weight_decay, "seed": recipe.seed}
                settings |= {"epochs": params.epochs, "batch_size": params.batch_size, "momentum": params.momentum}
                fingerprints = {"images": faces.identity.fingerprint, "targets": teacher.identity.fingerprint}
                write_head(out / f"{name}.safetensors", weights, settings | {"fingerprints": fingerprints})
                swept.append(Swept(name, str(targets[recipe.teacher]), recipe, losses))
    _write_losses(out / "sweep.csv", swept)
    return swept


def _groups(
    recipes: Sequence[Recipe], width: int, target_width: int, batch: int, device: torch.device
) -> Iterator[Sequence[Recipe]]:
    """As many heads at once as fit: weights, gradients and momentum of each, and its batch with what is made of it."""
    each = 4 * (3 * width * target_width + batch * (width + 5 * target_width + 4 * batch))
    size = len(recipes)
    while size > 1 and not fits(size * each, device):
        size = -(-size // 2)
    for start in range(0, len(recipes), size):
        yield recipes[start : start + size]


def _name(recipe: Recipe, targets: str) -> str:
    teacher = f"{Path(targets).name}_" if targets else ""
    return f"{teacher}lr-{recipe.lr:g}_wd-{recipe.weight_decay:g}_seed-{recipe.seed}"


def _write_losses(path: Path, swept: Sequence[Swept]) -> None:
    try:
        with path.open("w", newline="", encoding="utf-8") as file:
            table = csv.writer(file, lineterminator="\n")
            table.writerow(["head", "targets", "lr", "weight_decay", "seed", "epoch", "loss"])
            for head in swept:
                fixed = [head.name, head.targets, head.recipe.lr, head.recipe.weight_decay, head.recipe.seed]
                table.writerows([*fixed, epoch, f"{loss:.6f}"] for epoch, loss in enumerate(head.losses, start=1))
    except OSError as error:
        raise CacheError(f"{path}: cannot be written ({error.strerror}).") from None
