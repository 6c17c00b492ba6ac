"""One ridge head from one or several teachers' targets, straight from feature caches: no params.yaml, no DVC."""

from collections.abc import Sequence
from pathlib import Path

from expclip_cache.base import CacheError, Reporter, SettingsError
from expclip_cache.cache import FeatureCache
from expclip_cache.heads.head_file import write_head
from expclip_cache.heads.ridge.fitting import RidgeHead, fit_caches
from expclip_cache.heads.ridge.moments_cache import moments_fingerprint, sum_moments, write_moments
from expclip_cache.heads.ridge.ridge_path import stack_heads
from expclip_cache.heads.settings import RidgeSettings, TrainSettings
from expclip_cache.workers import RunSettings


def fit_teachers(
    images: Path | str,
    targets: Sequence[Path | str],
    weights: Sequence[float],
    ridge: RidgeSettings,
    batch_size: int,
    out: Path,
    moments: Path,
    report: Reporter,
) -> list[RidgeHead]:
    """Fit one head for each teacher, each with its own lambda, and write them as one: see `stack_heads`.

    Args:
        images: folder or address of the cache of image features.
        targets: caches of the same pictures' targets, one for each teacher.
        weights: one for each teacher, > 0; none for equal weights.
        batch_size: of the held-out contrastive loss.
        out: the head, safetensors.
        moments: folder for the sums, kept for the next fit; a folder in it for each pair of caches.

    Returns:
        The head of each teacher, in order.

    Raises:
        CacheError: a cache cannot be used, was not made by a CLIP, or not from the same pictures.
        DataError: no head tells the held-out faces apart.
        SettingsError: the weights do not fit the targets, or a teacher is given twice.
    """
    weights = list(weights) or [1.0] * len(targets)
    if len(weights) != len(targets) or min(weights) <= 0:
        raise SettingsError(f"expected a positive weight for each of {len(targets)} targets, found {weights}.")
    faces = open_images(images)
    params = TrainSettings(dataset="cache", batch_size=batch_size, fit=("ridge",), ridge=ridge)
    fitted: dict[str, RidgeHead] = {}
    fingerprints = []
    for folder in targets:
        if str(folder) in fitted:
            raise SettingsError(f"{folder}: is given twice. Give one teacher more weight instead.")
        teacher = FeatureCache(folder)
        place = moments_folder(moments, faces, teacher, ridge.held_out_share)
        fitted[str(folder)] = fit_caches(faces, teacher, params, place, RunSettings(), report)
        fingerprints.append(teacher.identity.fingerprint)
        report.say(f"{folder}: {fitted[str(folder)]}")
    stacked = stack_heads(
        {name: head.weights for name, head in fitted.items()}, dict(zip(fitted, weights, strict=True))
    )
    settings = {"fit": "ridge", "batch_size": batch_size, "found": [head.found for head in fitted.values()]}
    settings |= ridge.model_dump() | {"weights": weights}
    settings |= {"fingerprints": {"images": faces.identity.fingerprint, "targets": fingerprints}}
    write_head(out, stacked, settings)
    return list(fitted.values())


def sum_part(
    images: Path | str,
    targets: Sequence[Path | str],
    ridge: RidgeSettings,
    shards: range,
    moments: Path,
    report: Reporter,
) -> list[Path]:
    """Sum some shards' moments for each teacher and leave them where a later fit takes them up.

    Returns:
        The files written, one for each teacher.

    Raises:
        CacheError: see `fit_teachers`.
        SettingsError: there are no such shards.
    """
    faces, written = open_images(images), []
    count = len(faces.shards)
    if shards.stop > count:
        raise SettingsError(
            f"shards {shards.start}:{shards.stop}: expected a part of 0:{count}, which is all there are."
        )
    for folder in targets:
        teacher, share = FeatureCache(folder), ridge.held_out_share
        place = moments_folder(moments, faces, teacher, share)
        place.mkdir(parents=True, exist_ok=True)
        faces_here = min(len(faces), len(shards) * faces.shard_rows)
        with report.bar(f"moments with {folder}", faces_here, "face") as bar:
            part = sum_moments(faces, teacher, share, shards, bar.advance)
        path = place / f"part-{shards.start}-{shards.stop}.safetensors"
        write_moments(path, part, moments_fingerprint(faces, teacher, share))
        written.append(path)
    return written


def open_images(folder: Path | str) -> FeatureCache:
    """The cache of a CLIP's image features.

    Raises:
        CacheError: it is none.
    """
    cache = FeatureCache(folder)
    if "logit_scale" not in cache.identity.encoder:
        raise CacheError(
            f"{folder}: expected image features of a CLIP, found {cache.identity.settings.get('encoder')!r}. "
            "Give the image features first and the targets after --targets."
        )
    return cache


def moments_folder(moments: Path, images: FeatureCache, targets: FeatureCache, held_out: float) -> Path:
    """Where the sums of one pair of caches are kept."""
    return moments / moments_fingerprint(images, targets, held_out)[:16]
