"""The two kinds of fits behind `expclip-cache train`."""

import math
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from expclip_cache.base import CacheError, Reporter, SettingsError
from expclip_cache.cache import FeatureCache, parse_part
from expclip_cache.heads import (
    ContrastiveSettings,
    RidgeSettings,
    fit_stacked_ridge,
    head_path,
    sum_part_for_teachers,
)


def train_contrastive_heads(
    images: str,
    targets: Sequence[FeatureCache],
    settings: ContrastiveSettings,
    out: Path,
    device: str,
    report: Reporter,
) -> list[Path]:
    """Train one head per seed; returns their files.

    Raises:
        CacheError, EncoderError, SettingsError: see `fit_contrastive`; or `out` does not suit the number of seeds, or
            there are several teachers.
    """
    if len(targets) > 1:
        raise SettingsError(
            f"--targets: --kind contrastive takes one teacher, found {len(targets)}. Train a head for each, or use "
            "--kind ridge, which fits one head to several."
        )
    # Torch takes seconds to import: only for this kind.
    from expclip_cache.heads import fit_contrastive

    paths = _files(out, settings.seeds)
    features = open_image_features(images)
    heads = fit_contrastive(features, targets[0], settings, device=device, report=report)
    for number, (seed, path) in enumerate(zip(settings.seeds, paths, strict=True)):
        heads.write(number, path)
        report.say(
            f"{path}: seed {seed}, loss {heads.losses[number, -1]:.4f} after {settings.epochs} epochs on {heads.rows} "
            f"images (chance {math.log(settings.batch_size):.4f}); takes CLIP features of width {features.layout.width}"
        )
    return paths


def _files(out: Path, seeds: Sequence[int]) -> list[Path]:
    """The files of the heads: `out` itself for one seed, files in it for several."""
    if len(seeds) > 1:
        if out.suffix == ".safetensors" or out.is_file():
            raise SettingsError(
                f"{out}: expected a folder for the heads of {len(seeds)} seeds, found the name of a file."
            )
        return [head_path(out.parent, out.name, seed) for seed in seeds]
    if out.is_dir():
        raise SettingsError(f"{out}: expected a file for the head, found a folder; try {out / 'head.safetensors'}.")
    return [out]


def fit_ridge_head(
    images: str,
    targets: Sequence[FeatureCache],
    settings: RidgeSettings,
    out: Path,
    weights: Sequence[float],
    moments: Path,
    shards: str | None,
    report: Reporter,
) -> list[Path]:
    """Fit one head to one or more teachers, or only sum some shards for it; returns the head's file, if there is one.

    Raises:
        CacheError, DataError, LostWorkerError, SettingsError: see `fit_stacked_ridge` and `sum_part_for_teachers`.
    """
    features = open_image_features(images)
    if shards is not None:
        part = parse_part(shards)
        paths = sum_part_for_teachers(features, targets, settings, part, moments, report)
        report.say(
            f"{moments}: keeps the sums of shards {part.start} to {part.stop - 1} in {len(paths)} files; "
            "the command without --shards uses them"
        )
        return []
    head = fit_stacked_ridge(features, targets, settings, weights=weights, moments=moments, report=report)
    head.write(out)
    fitted_to = f"{len(targets)} teachers" if len(targets) > 1 else "one teacher"
    report.say(f"{out}: fitted to {fitted_to}; takes CLIP features of width {features.layout.width}")
    return [out]


def open_target_features(place: str, state: str | None) -> FeatureCache:
    """The cache of a teacher's targets, or one of the states that it keeps.

    Args:
        state: as the teacher names it, such as last@0.75; None where it keeps a single one.

    Raises:
        CacheError: the cache cannot be opened.
        SettingsError: it has no such state.
    """
    cache = FeatureCache(place)
    if state is None:
        return cache
    states = cache.identity.settings.get("states", [])
    if len(states) < 2:
        raise SettingsError(f"--state: {cache} keeps a single state; remove it.")
    read, _, layer = state.partition("@")
    with suppress(ValueError):
        state = f"{read}@{float(layer):g}"
    if state not in states:
        raise SettingsError(
            f"--state: expected one of {', '.join(states) or 'no states'}, which {cache} keeps; found {state!r}."
        )
    return FeatureCache(place, vector=states.index(state))


def open_image_features(place: str) -> FeatureCache:
    """The cache of a CLIP's image features.

    Raises:
        CacheError: the cache cannot be opened, or holds something else.
    """
    cache = FeatureCache(place)
    try:
        cache.logit_scale  # noqa: B018 - raises if there is none
    except CacheError as error:
        raise CacheError(f"{error} Give the image features first and the targets after --targets.") from None
    return cache
