"""Small feature caches on disk, for tests of what reads them."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from expclip_cache.cache import CacheWriter, FeatureCache


def write_cache(
    folder: Path,
    features: np.ndarray,
    shard_rows: int,
    bad: tuple[int, ...] = (),
    *,
    labels: np.ndarray | None = None,
    classes: tuple[str, ...] = (),
    paths: list[str] | None = None,
    manifest: str = "m1",
    settings: Mapping[str, object] | None = None,
    **encoder: object,
) -> FeatureCache:
    """A cache of (n, w) float16 or float32 features; the rows in `bad` have none."""
    with CacheWriter(
        folder,
        manifest=manifest,
        settings={"model": folder.name, **(settings or {})},
        encoder={"weights_sha256": "w", **encoder},
        library="test 1.0",
        classes=classes,
        shard_rows=shard_rows,
        dtype=features.dtype.name,
    ) as writer:
        writer.add(
            features,
            labels=labels,
            paths=paths or [f"{row}.png" for row in range(len(features))],
            errors=["truncated" if row in bad else "" for row in range(len(features))],
        )
    return FeatureCache(folder)
