"""Complete caches of one shard with known features, labels and paths (or prompt texts), for tests of scoring."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipeline.shards.index_file import write_index
from pipeline.shards.schema import Block, Identity
from pipeline.shards.shard import open_shard
from pipeline.shards.writer import write_shard


def write_labelled(
    folder: Path,
    features: np.ndarray,
    labels: np.ndarray,
    paths: Sequence[str],
    classes: Sequence[str],
    *,
    bad: Sequence[int] = (),
    weights: str = "w",
) -> None:
    """Write (n, w) features with a label and a path each; the rows in `bad` could not be read."""
    folder.mkdir(parents=True)
    rows = len(features)
    encoder = {"width": features.shape[1], "weights_sha256": weights, "logit_scale": 100.0}
    identity = Identity({"dtype": "float32", "manifest": "m"}, encoder)
    features = features.astype(np.float32)
    features[list(bad)] = np.nan
    errors = tuple(b"truncated" if row in bad else b"" for row in range(rows))
    names = tuple(path.encode() for path in paths)
    block = Block(0, 0, features, labels.astype(np.int32), names, errors)
    entry = open_shard(write_shard(folder, block, identity, "test")).entry()
    write_index(
        folder,
        identity,
        [entry.record],
        list(entry.skipped),
        rows=rows,
        shard_rows=rows,
        classes=tuple(classes),
        libraries=["test"],
    )


def write_prompts(folder: Path, features: np.ndarray, texts: Sequence[str], weights: str = "w") -> None:
    """Write (p, d) features of texts."""
    write_labelled(folder, features, np.full(len(texts), -1), texts, (), weights=weights)
