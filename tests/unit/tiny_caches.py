"""Small feature caches on disk, for tests of what reads them."""

from pathlib import Path

import numpy as np

from pipeline.shards.index_file import write_index
from pipeline.shards.reader import FeatureCache
from pipeline.shards.schema import Block, Identity, plan_shards
from pipeline.shards.shard import open_shard
from pipeline.shards.writer import write_shard


def write_cache(
    folder: Path,
    features: np.ndarray,
    shard_rows: int,
    bad: tuple[int, ...] = (),
    *,
    labels: np.ndarray | None = None,
    classes: tuple[str, ...] = (),
    paths: list[str] | None = None,
    **encoder: object,
) -> FeatureCache:
    """A cache of (n, w) float16 or float32 features; the rows in `bad` have none."""
    labels = np.full(len(features), -1) if labels is None else labels
    paths = paths or [f"{row}.png" for row in range(len(features))]
    folder.mkdir(parents=True)
    settings = {"model": folder.name, "dtype": features.dtype.name, "manifest": "m1"}
    identity = Identity(settings, {"width": features.shape[1], "weights_sha256": "w", **encoder})
    features = features.copy()
    features[list(bad)] = np.nan
    records = []
    for number, part in enumerate(plan_shards(len(features), shard_rows)):
        block = Block(
            number,
            part.start,
            features[part.start : part.stop],
            labels[part.start : part.stop].astype(np.int32),
            tuple(paths[row].encode() for row in part),
            tuple(b"truncated" if row in bad else b"" for row in part),
        )
        records.append(open_shard(write_shard(folder, block, identity, "test 1.0")).entry().record)
    skipped = [{"row": row, "path": paths[row], "reason": "truncated"} for row in bad]
    write_index(
        folder,
        identity,
        records,
        skipped,
        rows=len(features),
        shard_rows=shard_rows,
        classes=classes,
        libraries=["test 1.0"],
    )
    return FeatureCache(folder)
