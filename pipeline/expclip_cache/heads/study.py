"""The heads of one backbone and one teacher: keep the files that are as requested, fit the others."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import xxhash

from expclip_cache.base import DataError, Reporter, SettingsError, SilentReporter, source_sha256
from expclip_cache.cache import FeatureCache, Json, paired_rows
from expclip_cache.heads.head_file import read_head, read_record
from expclip_cache.heads.recipe import Recipe, contrastive_record, recipes_of
from expclip_cache.heads.ridge.fitting import fit_ridge, ridge_record
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


def head_seeds(settings: HeadSettings) -> tuple[int | None, ...]:
    """The heads that one entry of `heads:` stands for: one per seed, or a single one of a kind without seeds."""
    return settings.seeds if isinstance(settings, ContrastiveSettings) else (None,)


def head_path(folder: Path, name: str, seed: int | None) -> Path:
    """The file of one head in the folder of a backbone and teacher."""
    return folder / name / ("closed-form.safetensors" if seed is None else f"seed-{seed}.safetensors")


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
    made_by = {
        "code": source_sha256("expclip_cache.heads"),
        "paired_rows": xxhash.xxh3_128_hexdigest(paired_rows(images, *targets).tobytes()),
    }
    wanted = {
        (name, seed): record | made_by
        for name, settings in heads.items()
        for seed, record in _records(settings, images, targets)
    }
    paths = {(name, seed): head_path(folder, name, seed) for name, seed in wanted}
    missing = [key for key, path in paths.items() if not _is_current(path, wanted[key])]
    _fit_contrastive_heads(images, targets, heads, {key: paths[key] for key in missing}, made_by, run, report)
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
            fitted.write(paths[name, seed], **made_by)
    return [
        StudyHead(name, seed, path, read_record(path)["found"], (name, seed) in missing, sums.get(name))
        for (name, seed), path in paths.items()
    ]


def _fit_contrastive_heads(
    images: FeatureCache,
    targets: Sequence[FeatureCache],
    heads: Mapping[str, HeadSettings],
    missing: Mapping[tuple[str, int | None], Path],
    made_by: Mapping[str, str],
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
            trained.write(number, path, **made_by)


def _records(
    settings: HeadSettings, images: FeatureCache, targets: Sequence[FeatureCache]
) -> Iterator[tuple[int | None, dict[str, Json]]]:
    """The seed of each head with what its file records, apart from what the fit found."""
    if isinstance(settings, RidgeSettings):
        if len(targets) > 1:
            raise SettingsError(
                f"a ridge head needs one target per image, found {len(targets)} draws, the first in {targets[0]}. "
                "Fit it to targets without dropout, or to a single draw."
            )
        yield None, ridge_record(settings, images, targets[0])
        return
    for recipe in recipes_of(settings):
        yield recipe.seed, contrastive_record(settings, recipe, images, targets)


def _is_current(path: Path, wanted: Mapping[str, Json]) -> bool:
    try:
        read_head(path)
    except DataError:
        return False
    record = read_record(path)
    return {key: value for key, value in record.items() if key != "found"} == wanted
