"""Contrastive heads from feature caches: pair the rows, decide where they fit, train."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from expclip_cache.base import Bar, Reporter, SilentReporter
from expclip_cache.cache import FeatureCache, Json, paired_rows
from expclip_cache.heads.cached_rows import CachedRows
from expclip_cache.heads.head_file import write_head
from expclip_cache.heads.memory import fits_in_memory
from expclip_cache.heads.recipe import Recipe, contrastive_record, recipes_of
from expclip_cache.heads.settings import ContrastiveSettings
from expclip_cache.heads.training import TrainedHeads, train_heads
from expclip_cache.workers import resolve_device


@dataclass(frozen=True)
class ContrastiveHeads:
    """Heads that were trained on feature caches.

    Attributes:
        weights: W (s, t, d) float32, one per recipe.
        losses: (s, epochs) float64, mean contrastive loss over the batches of each epoch, in nats.
        rows: n, the number of images.
        settings: for each head its settings and the fingerprints of its caches, as its file records them.
    """

    weights: np.ndarray
    losses: np.ndarray
    rows: int
    settings: tuple[Mapping[str, Json], ...]

    def write(self, number: int, path: Path, **more: Json) -> None:
        """Write head `number` with its settings, and more that the file should record; see `write_head`."""
        found = {"rows": self.rows, "losses": [round(loss, 6) for loss in self.losses[number].tolist()]}
        write_head(path, self.weights[number], {**self.settings[number], "found": found, **more})


def fit_contrastive(
    images: FeatureCache,
    targets: FeatureCache | Sequence[FeatureCache],
    settings: ContrastiveSettings = ContrastiveSettings(),
    *,
    only: np.ndarray | None = None,
    device: str = "auto",
    report: Reporter | None = None,
) -> ContrastiveHeads:
    """Train one head for each of the settings' seeds, as the reference does.

    >>> images, targets = FeatureCache("features/images/b32/caer-s"), FeatureCache("features/targets/blip2/caer-s")
    ... # doctest: +SKIP
    >>> fit_contrastive(images, targets).write(0, Path("head.safetensors"))  # doctest: +SKIP

    Args:
        images: image features of a CLIP.
        targets: LLM targets of the same images; several caches are draws of one target with dropout, and epoch e uses
            draw e modulo their number.
        settings: a section of params.yaml, or the reference's by default.
        only: (k,) int64 ids of the rows to which the training is limited; None: all. The heads are then those of
            caches in which no other row has features.
        device: see `resolve_device`.

    Raises:
        CacheError: a cache is damaged, the images are not a CLIP's, or the caches come from different manifests.
        EncoderError: there is no such device.
        SettingsError: there are fewer images than one batch.
    """
    draws = [targets] if isinstance(targets, FeatureCache) else list(targets)
    recipes = recipes_of(settings)
    return train_on_caches(images, draws, settings, recipes, device, report or SilentReporter(), only)


def train_on_caches(
    images: FeatureCache,
    targets: Sequence[FeatureCache],
    settings: ContrastiveSettings,
    recipes: Sequence[Recipe],
    device: str,
    report: Reporter,
    only: np.ndarray | None = None,
) -> ContrastiveHeads:
    """Train one head per recipe, in groups if all at once would not fit in memory; see `train_heads`.

    Args:
        targets: the draws of one target.
        settings: epochs, batch size and momentum of all heads; the recipes hold the rest.
        only: see `fit_contrastive`.
    """
    where, scale = resolve_device(device), images.logit_scale
    rows = paired_rows(images, *targets, only=only)
    x, y = CachedRows([images], rows), CachedRows(targets, rows)
    resident = fits_in_memory(4 * (x.shape[0] * x.shape[1] + y.shape[0] * y.shape[1]), where)
    if not resident:
        report.say(f"the training rows do not fit on {where}; reading each batch from the cache")
    groups = list(_groups(recipes, images.layout.width, targets[0].width, settings.batch_size, where))
    steps = settings.epochs * (len(rows) // settings.batch_size) * len(groups)

    def train(group: Sequence[Recipe], bar: Bar) -> TrainedHeads:
        return train_heads(x, y, scale, settings, where, bar.advance, resident=resident, recipes=group)

    with report.bar(f"training {len(recipes)} heads on {where}", steps, "step") as bar:
        trained = [train(group, bar) for group in groups]
    return ContrastiveHeads(
        weights=np.concatenate([heads.weights for heads in trained]),
        losses=np.concatenate([heads.losses for heads in trained]),
        rows=len(rows),
        settings=tuple(contrastive_record(settings, recipe, images, targets) for recipe in recipes),
    )


def _groups(
    recipes: Sequence[Recipe], width: int, target_width: int, batch: int, device: torch.device
) -> Iterator[Sequence[Recipe]]:
    """As many heads at a time as fit in memory.

    A head needs its weights, gradient and momentum, and a batch of images, targets and what the loss makes of them.
    """
    bytes_per_head = 4 * (3 * width * target_width + batch * (width + 5 * target_width + 4 * batch))
    size = len(recipes)
    while size > 1 and not fits_in_memory(size * bytes_per_head, device):
        size = -(-size // 2)
    for start in range(0, len(recipes), size):
        yield recipes[start : start + size]
