"""What a feature cache says of itself, for results to carry along: settings, weights, fingerprint, skipped inputs."""

import os

from pipeline.shards.reader import FeatureCache


def provenance(cache: FeatureCache) -> dict:
    """The identity of a cache and the inputs it could not encode, as JSON values."""
    size = cache.index["shard_rows"]
    skipped = []
    for row, reason in sorted(cache.skipped.items()):
        shard = cache.shard(row // size)
        skipped.append({"row": row, "path": os.fsdecode(bytes(shard.paths[row % size])), "reason": reason})
    return {
        "fingerprint": cache.identity.fingerprint,
        "rows": cache.rows,
        "settings": dict(cache.identity.settings),
        "encoder": dict(cache.identity.encoder),
        "skipped": skipped,
    }
