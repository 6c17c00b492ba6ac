"""Which rows of several caches belong together: those of the same image."""

import numpy as np
import xxhash

from expclip_cache.base import CacheError
from expclip_cache.cache.format import MANIFEST
from expclip_cache.cache.reader import FeatureCache
from expclip_cache.cache.stored_manifest import manifest_name, read_stored_manifest
from expclip_cache.datasets import Manifest, image_difference

BLOCK = 1 << 16
"""Rows that are hashed at once."""


def paired_rows(images: FeatureCache, *targets: FeatureCache, only: np.ndarray | None = None) -> np.ndarray:
    """(m,) int64, ids of the rows that have features in every cache, ascending; see `PairedRows`.

    Raises:
        CacheError, DataError: see `PairedRows`.
    """
    paired = PairedRows(images, *targets, only=only)
    return paired.within(range(paired.stop))


class PairedRows:
    """The rows that have features in every one of several caches, worked out for some rows at a time.

    Holds the ids of the skipped rows, not those of the paired ones: of 100 million rows few are skipped.

    Attributes:
        stop: the id after that of the last row that every cache has, skipped or not.
    """

    def __init__(self, images: FeatureCache, *targets: FeatureCache, only: np.ndarray | None = None):
        """Compare the caches.

        Args:
            images, targets: they may have other labels, but each row must be the same image in all of them.
            only: (k,) int64 ids, in any order, to which the rows are limited; None: all.

        Raises:
            CacheError: the caches were made from lists of different images, so equal ids would not mean equal images;
                or a row of targets has several vectors.
            DataError: a manifest in a cache is damaged.
        """
        for cache in targets:
            _refuse_several_vectors(cache)
            _refuse_other_images(images, cache)
        self.stop = min(len(cache) for cache in (images, *targets))
        self._skipped = [cache.skipped_rows for cache in (images, *targets)]
        self._only = None if only is None else np.unique(np.asarray(only, dtype=np.int64))

    def within(self, rows: range) -> np.ndarray:
        """(m,) int64, ids of the paired rows among consecutive rows, ascending."""
        rows = range(rows.start, min(rows.stop, self.stop))
        paired = np.ones(len(rows), dtype=bool)
        for skipped in self._skipped:
            paired[_among(skipped, rows) - rows.start] = False
        if self._only is None:
            return np.flatnonzero(paired) + rows.start
        wanted = _among(self._only, rows)
        return wanted[paired[wanted - rows.start]]

    def xxh3_128(self) -> str:
        """XXH3-128, hex, over the ids of all paired rows as int64: that of `paired_rows(...).tobytes()`."""
        digest = xxhash.xxh3_128()
        for start in range(0, self.stop, BLOCK):
            digest.update(self.within(range(start, start + BLOCK)).data)
        return digest.hexdigest()


def _among(ids: np.ndarray, rows: range) -> np.ndarray:
    """Those of some ascending ids that are in a range."""
    first, last = np.searchsorted(ids, (rows.start, rows.stop))
    return ids[first:last]


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
