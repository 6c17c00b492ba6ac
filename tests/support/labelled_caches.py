"""Complete caches with known features, labels and paths (or prompt texts), for tests of scoring."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from expclip_cache.cache import CacheWriter


def write_labelled(
    folder: Path,
    features: np.ndarray,
    labels: np.ndarray,
    paths: Sequence[str],
    classes: Sequence[str],
    *,
    skipped: Sequence[int] = (),
    weights: str = "w",
) -> None:
    """Write one shard of (n, d) features with a label and a path per row; the rows in `skipped` have no features."""
    n = len(features)
    with CacheWriter(
        folder,
        manifest="m",
        encoder={"weights_sha256": weights, "logit_scale": 100.0},
        library="test",
        classes=classes,
        shard_rows=n,
        dtype="float32",
    ) as writer:
        errors = ["truncated" if row in skipped else "" for row in range(n)]
        writer.add(features, labels=labels, paths=paths, errors=errors)


def write_prompts(folder: Path, features: np.ndarray, texts: Sequence[str], weights: str = "w") -> None:
    """Write (p, d) features of p texts."""
    write_labelled(folder, features, np.full(len(texts), -1), texts, (), weights=weights)
