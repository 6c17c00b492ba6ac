"""Contrastive heads for every combination of teacher, learning rate, weight decay and seed, trained at once."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count, product
from pathlib import Path

import numpy as np

from expclip_cache.base import CacheError, Reporter, SettingsError, SilentReporter, build
from expclip_cache.cache import FeatureCache
from expclip_cache.heads.contrastive import train_on_caches
from expclip_cache.heads.fused_step import Recipe
from expclip_cache.heads.settings import ContrastiveSettings


@dataclass(frozen=True)
class SweepHead:
    """One head of a sweep.

    Attributes:
        name: of its file, without the suffix.
        teacher: short name of the targets it learned from.
        targets: folder or address of those targets.
        recipe: learning rate, weight decay and seed.
        losses: (epochs,) float64, mean contrastive loss of each epoch, in nats.
    """

    name: str
    teacher: str
    targets: str
    recipe: Recipe
    losses: np.ndarray


def sweep(
    images: FeatureCache,
    targets: Sequence[FeatureCache],
    settings: ContrastiveSettings,
    out: Path,
    *,
    lrs: Sequence[float],
    weight_decays: Sequence[float],
    device: str = "auto",
    report: Reporter | None = None,
) -> list[SweepHead]:
    """Train a head for every combination as one batched problem, in groups if memory is short.

    Args:
        images: image features of a CLIP.
        targets: targets of the same images, equally wide; one cache per teacher.
        settings: seeds, epochs, batch size and momentum of all heads.
        out: folder for the heads and for `sweep.csv`, the loss of every head and epoch.
        lrs: learning rates, each combined with all else; they replace that of the settings.
        weight_decays: likewise.
        device: see `resolve_device`.

    Raises:
        CacheError: a cache cannot be used, the caches come from different manifests, or `out` cannot be written.
        SettingsError: a learning rate or weight decay is out of range, a teacher is given twice, the targets are not
            equally wide, or there are fewer images than one batch.
    """
    places = [str(cache) for cache in targets]
    if len(set(places)) < len(places):
        raise SettingsError("a cache of targets is given twice. To repeat a head, add seeds.")
    widths = {cache.width for cache in targets}
    if len(widths) > 1:
        raise SettingsError(f"expected targets of one width, found {sorted(widths)}. Sweep each LLM on its own.")
    for lr, weight_decay in product(lrs, weight_decays):
        build(ContrastiveSettings, **settings.model_dump() | {"lr": lr, "weight_decay": weight_decay})
    recipes = [
        Recipe(seed, lr, weight_decay, teacher)
        for teacher, lr, weight_decay, seed in product(range(len(targets)), lrs, weight_decays, settings.seeds)
    ]
    trained = train_on_caches(
        images, targets, settings, recipes, device, report or SilentReporter(), teachers=len(targets)
    )
    teachers = distinct_names(places)
    heads = []
    for number, recipe in enumerate(recipes):
        teacher = teachers[recipe.teacher]
        name = f"lr-{recipe.lr:g}_wd-{recipe.weight_decay:g}_seed-{recipe.seed}"
        if len(targets) > 1:
            name = f"{teacher}_{name}"
        trained.write(number, out / f"{name}.safetensors")
        heads.append(SweepHead(name, teacher, places[recipe.teacher], recipe, trained.losses[number]))
    _write_losses(out / "sweep.csv", heads)
    return heads


def distinct_names(places: Sequence[str]) -> list[str]:
    """Short names for folders or addresses: as many of their last parts as it takes to tell them apart.

    >>> distinct_names(["features/blip2/caer-s", "features/other/caer-s"])
    ['blip2-caer-s', 'other-caer-s']

    Args:
        places: all different.
    """
    for parts in count(1):
        names = ["-".join(Path(place).parts[-parts:]).replace("/", "") for place in places]
        if len(set(names)) == len(places):
            return names
    raise AssertionError("unreachable")


def _write_losses(path: Path, heads: Sequence[SweepHead]) -> None:
    try:
        with path.open("w", newline="", encoding="utf-8") as file:
            table = csv.writer(file, lineterminator="\n")
            table.writerow(["head", "targets", "lr", "weight_decay", "seed", "epoch", "loss"])
            for head in heads:
                fixed = [head.name, head.targets, head.recipe.lr, head.recipe.weight_decay, head.recipe.seed]
                table.writerows([*fixed, epoch, f"{loss:.6f}"] for epoch, loss in enumerate(head.losses, start=1))
    except OSError as error:
        raise CacheError(f"{path}: cannot be written ({error.strerror}). Check the folder and its rights.") from None
