"""Which rows of several caches belong together: those of the same image."""

import numpy as np

from expclip_cache.base import CacheError
from expclip_cache.cache.format import MANIFEST
from expclip_cache.cache.reader import FeatureCache
from expclip_cache.cache.stored_manifest import manifest_name, read_stored_manifest
from expclip_cache.datasets import Manifest, image_difference


def paired_rows(images: FeatureCache, *targets: FeatureCache) -> np.ndarray:
    """(m,) int64, ids of the rows that have features in every cache.

    The caches may have other labels, but each row must be the same image in all of them.

    Raises:
        CacheError: they were made from lists of different images, so equal ids would not mean equal images; or a row
            of targets has several vectors.
        DataError: a manifest in a cache is damaged.
    """
    rows = images.good_rows
    for cache in targets:
        _refuse_several_vectors(cache)
        _refuse_other_images(images, cache)
        rows = np.intersect1d(rows, cache.good_rows, assume_unique=True)
    return rows


def _refuse_several_vectors(targets: FeatureCache) -> None:
    count = targets.layout.frames * targets.layout.vectors
    if count > 1:
        named = ", ".join(targets.identity.settings.get("states", ())) or f"vectors 0 to {count - 1}"
        raise CacheError(
            f"{targets}: expected one target for each image, found {count}: {named}. Choose one of them with --state, "
            "or FeatureCache(place, vector=number)."
        )


def _refuse_other_images(images: FeatureCache, targets: FeatureCache) -> None:
    if _manifest_sha256(images) == _manifest_sha256(targets):
        return
    ours, theirs = manifest_of(images), manifest_of(targets)
    if ours is None or theirs is None:
        raise CacheError(
            f"{images} and {targets}: expected features of the same images, found different manifests "
            f"({_manifest_sha256(images)[:12]}, {_manifest_sha256(targets)[:12]}). Encode both from one manifest."
        )
    if difference := image_difference(ours, theirs, (str(images), str(targets))):
        # New images are usually wanted.
        full, old = (images, targets) if len(images) > len(targets) else (targets, images)
        listed = full.store.path(manifest_name(full.store) or MANIFEST)
        raise CacheError(
            f"{images} and {targets}: expected features of the same images, but {difference}. Make {old} again from "
            f"the images of {full}: extract it as before, with --manifest {listed} --on-mismatch replace."
        )


def _manifest_sha256(cache: FeatureCache) -> str:
    return cache.identity.settings["manifest"]


def manifest_of(cache: FeatureCache) -> Manifest | None:
    """The list of images that a cache was made from; None if the cache has none, or one of other images.

    Raises:
        DataError: the manifest in the cache is damaged.
    """
    manifest = read_stored_manifest(cache.store)
    return manifest if manifest and manifest.sha256 == _manifest_sha256(cache) else None
