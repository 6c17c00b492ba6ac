"""Which files the heads of a study have, what each must record, and whether it does. Nothing is fitted here."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from expclip_cache.base import DataError, SettingsError, source_sha256
from expclip_cache.cache import FeatureCache, Json, PairedRows
from expclip_cache.heads.head_file import read_head, read_record
from expclip_cache.heads.recipe import contrastive_record, recipes_of
from expclip_cache.heads.ridge.fitting import ridge_record
from expclip_cache.heads.settings import ContrastiveSettings, HeadSettings, RidgeSettings


def head_seeds(settings: HeadSettings) -> tuple[int | None, ...]:
    """The heads that one entry of `heads:` stands for: one per seed, or a single one of a kind without seeds."""
    return settings.seeds if isinstance(settings, ContrastiveSettings) else (None,)


def head_path(folder: Path, name: str, seed: int | None) -> Path:
    """The file of one head in the folder of a backbone and teacher."""
    return folder / name / ("closed-form.safetensors" if seed is None else f"seed-{seed}.safetensors")


def current_heads(
    images: FeatureCache, targets: Sequence[FeatureCache], heads: Mapping[str, HeadSettings], folder: Path
) -> dict[tuple[str, int | None], Path]:
    """The files of a study's heads, none of them fitted here: name and seed -> file, in the order of `heads`.

    Args:
        images, targets, heads, folder: see `complete_heads`.

    Raises:
        CacheError: the caches come from different manifests.
        DataError: a file is missing, or is not what `complete_heads` would leave there.
        SettingsError: a ridge head belongs to several draws.
    """
    wanted = wanted_records(images, targets, heads, made_by(images, targets))
    paths = {(name, seed): head_path(folder, name, seed) for name, seed in wanted}
    for key, path in paths.items():
        if not is_current(path, wanted[key]):
            found = (
                "was fitted to other features, with other settings or by other code" if path.exists() else "is missing"
            )
            raise DataError(f"{path}: this head of the study {found}. Run `dvc repro heads`.")
    return paths


def made_by(images: FeatureCache, targets: Sequence[FeatureCache]) -> dict[str, str]:
    """What the file of every head records besides its settings and caches."""
    return {
        "code": source_sha256("expclip_cache.heads"),
        "paired_rows": PairedRows(images, *targets).xxh3_128(),
    }


def wanted_records(
    images: FeatureCache,
    targets: Sequence[FeatureCache],
    heads: Mapping[str, HeadSettings],
    common: Mapping[str, str],
) -> dict[tuple[str, int | None], dict[str, Json]]:
    """Name and seed of each head -> what its file must record; `common` is what all record, see `made_by`."""
    return {
        (name, seed): {**record, **common}
        for name, settings in heads.items()
        for seed, record in _records(settings, images, targets)
    }


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


def is_current(path: Path, wanted: Mapping[str, Json]) -> bool:
    """Whether a file is an intact head that records this, apart from what the fit found."""
    try:
        read_head(path)
    except DataError:
        return False
    record = read_record(path)
    return {key: value for key, value in record.items() if key != "found"} == wanted
