"""The heads of one backbone and one teacher: keep the files that are as requested, fit the others."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from expclip_cache.base import Reporter, SilentReporter
from expclip_cache.cache import FeatureCache, Json
from expclip_cache.heads.current import head_path, is_current, made_by, wanted_records
from expclip_cache.heads.head_file import read_record
from expclip_cache.heads.recipe import Recipe, recipes_of
from expclip_cache.heads.ridge.fitting import fit_ridge
from expclip_cache.heads.ridge.shard_groups import ShardGroups, moments_folder
from expclip_cache.heads.settings import ContrastiveSettings, HeadSettings, RidgeSettings
from expclip_cache.workers import RunSettings


@dataclass(frozen=True)
class StudyHead:
    """One fitted head of a study.

    Attributes:
        name: its key in `heads:`.
        seed: None for ridge, which has no randomness.
        path: its file.
        found: what the fit found, as the file records it: `rows`, and `losses` of the epochs or ridge's metrics.
        fitted: whether this call fitted it; otherwise its file was there already.
        moments: folder with the sums that a ridge head comes from, for the next fit; None if none are kept.
    """

    name: str
    seed: int | None
    path: Path
    found: Mapping[str, Json]
    fitted: bool
    moments: Path | None = None


def complete_heads(
    images: FeatureCache,
    targets: Sequence[FeatureCache],
    heads: Mapping[str, HeadSettings],
    folder: Path,
    *,
    moments: Path | None = None,
    run: RunSettings = RunSettings(),
    report: Reporter | None = None,
) -> list[StudyHead]:
    """Fit the heads that are missing from a folder.

    A file counts if it is intact and records the same settings, features, images and code of this package. Others are
    replaced. A head does not depend on which others are fitted with it: on a CPU it is the same bit for bit, on a GPU
    up to the rounding of batched products.

    Args:
        images: image features of a CLIP.
        targets: LLM targets of the same images; several caches are draws of one target with dropout.
        heads: name -> settings.
        folder: for the heads, see `head_path`.
        moments: folder that keeps the sums of ridge heads for the next fit; None keeps nothing.
        run: the device of contrastive fits, the workers of the pass that ridge heads need.

    Returns:
        One item per head, in the order of `heads` and of their seeds.

    Raises:
        CacheError, DataError, EncoderError, LostWorkerError: see `fit_contrastive` and `fit_ridge`.
        SettingsError: likewise, or a ridge head is to be fitted to several draws.
    """
    report = report or SilentReporter()
    common = made_by(images, targets)
    wanted = wanted_records(images, targets, heads, common)
    paths = {(name, seed): head_path(folder, name, seed) for name, seed in wanted}
    missing = [key for key, path in paths.items() if not is_current(path, wanted[key])]
    _fit_contrastive_heads(images, targets, heads, {key: paths[key] for key in missing}, common, run, report)
    sums = {
        name: moments_folder(moments, ShardGroups(images, targets[0], settings.held_out_share))
        for name, settings in heads.items()
        if moments and isinstance(settings, RidgeSettings)
    }
    for name, seed in missing:
        settings = heads[name]
        if isinstance(settings, RidgeSettings):
            fitted = fit_ridge(images, targets[0], settings, moments=sums.get(name), run=run, report=report)
            report.say(f"{folder / name}: {fitted}")
            fitted.write(paths[name, seed], **common)
    return [
        StudyHead(name, seed, path, read_record(path)["found"], (name, seed) in missing, sums.get(name))
        for (name, seed), path in paths.items()
    ]


def _fit_contrastive_heads(
    images: FeatureCache,
    targets: Sequence[FeatureCache],
    heads: Mapping[str, HeadSettings],
    missing: Mapping[tuple[str, int | None], Path],
    common: Mapping[str, str],
    run: RunSettings,
    report: Reporter,
) -> None:
    """Fit the missing contrastive heads; those that share batches train together, whatever they are called."""
    together: dict[tuple[Any, ...], list[tuple[ContrastiveSettings, Recipe, Path]]] = {}
    for name, settings in heads.items():
        if isinstance(settings, ContrastiveSettings):
            shared = (settings.epochs, settings.batch_size, settings.momentum)
            for recipe in recipes_of(settings):
                if path := missing.get((name, recipe.seed)):
                    together.setdefault(shared, []).append((settings, recipe, path))
    for group in together.values():
        # Torch takes seconds to import: only for heads that are missing.
        from expclip_cache.heads.contrastive import train_on_caches

        recipes = [recipe for _, recipe, _ in group]
        trained = train_on_caches(images, targets, group[0][0], recipes, run.device, report)
        for number, (_, _, path) in enumerate(group):
            trained.write(number, path, **common)
