"""The moments of two feature caches: what they are the moments of, one pass that sums them, parts on disk."""

import hashlib
import json
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import xxhash

from expclip_cache.base import CacheError, write_atomically
from expclip_cache.cache import FeatureCache, canonical_json, paired_rows
from expclip_cache.heads.ridge.exact_sum import ExactSum
from expclip_cache.heads.ridge.lambda_choice import is_held_out
from expclip_cache.heads.ridge.moments import BLOCK, Moments

VERSION = 1


def moments_fingerprint(images: FeatureCache, targets: FeatureCache, held_out: float) -> str:
    """SHA-256, hex, over all that the moments depend on: both caches, how they are cut, which rows are held out."""
    settings = {
        "version": VERSION,
        "block": BLOCK,
        "images": images.identity.fingerprint,
        "targets": targets.identity.fingerprint,
        "shard_rows": images.shard_rows,
        "held_out": held_out,
    }
    return hashlib.sha256(canonical_json(settings)).hexdigest()


def missing_shards(moments: Moments, images: FeatureCache) -> list[int]:
    """Numbers of the shards that complete moments would have beside those they hold."""
    return sorted(set(range(len(images.shards))) - moments.shards)


def sum_moments(
    images: FeatureCache,
    targets: FeatureCache,
    held_out: float,
    shards: Iterable[int],
    advance: Callable[[int], None] = lambda _: None,
) -> Moments:
    """Sum the given shards of the image features with their targets, in one pass; one shard at a time is in memory.

    Args:
        images: (n, d) cache; its shards are the units.
        targets: (n, t) cache of the same manifest; it may be cut into other shards.
        held_out: share of the rows to leave out, see `expclip_cache.heads.ridge.lambda_choice.is_held_out`.
        advance: called with the number of rows after each shard.
    """
    moments = Moments(images.width, targets.width)
    rows = paired_rows(images, targets)
    rows = rows[~is_held_out(rows, held_out)]
    size = images.shard_rows
    same_cut = targets.shard_rows == size
    for number in shards:
        first, last = np.searchsorted(rows, [number * size, (number + 1) * size])
        chosen = rows[first:last]
        if same_cut:
            mapped = images[number * size : (number + 1) * size], targets[number * size : (number + 1) * size]
            moments.add_shard(number, *mapped, chosen - number * size)
        else:
            moments.add_shard(number, images[chosen], targets[chosen])
        advance(len(chosen))
    return moments


def write_moments(path: Path, moments: Moments, fingerprint: str) -> None:
    """Write the moments of some shards; the same moments give the same bytes."""
    from safetensors.numpy import save

    tensors = {
        "xx.coarse": moments.xx.coarse,
        "xx.fine": moments.xx.fine,
        "xy.coarse": moments.xy.coarse,
        "xy.fine": moments.xy.fine,
    }
    about = {
        "fingerprint": fingerprint,
        "rows": moments.rows,
        "shards": sorted(moments.shards),
        "terms": moments.xx.terms,
        "xxh3_128": _digest(tensors),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, save(tensors, metadata={"about": json.dumps(about, sort_keys=True)}))


def read_moments(path: Path, fingerprint: str) -> Moments:
    """Read the moments of some shards.

    Raises:
        CacheError: the file is missing, damaged, or holds moments of other features or other settings.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            about = json.loads(file.metadata()["about"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
        intact = about["xxh3_128"] == _digest(tensors)
        if about["fingerprint"] != fingerprint:
            raise CacheError(
                f"{path}: expected moments with the fingerprint {fingerprint[:12]}, found {about['fingerprint'][:12]}: "
                "other features, or another share held out. Delete it and sum again."
            )
        moments = Moments(*tensors["xy.coarse"].shape)
        moments.rows, moments.shards = about["rows"], frozenset(about["shards"])
        for name in ("xx", "xy"):
            parts = tensors[f"{name}.coarse"], tensors[f"{name}.fine"]
            setattr(moments, name, ExactSum.from_parts(*parts, about["terms"]))
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise CacheError(f"{path}: cannot be read as moments ({type(error).__name__}: {error}).") from None
    if not intact:
        raise CacheError(f"{path}: the content does not match its checksum: the file is damaged. Sum again.")
    return moments


def _digest(tensors: dict[str, np.ndarray]) -> str:
    digest = xxhash.xxh3_128()
    for name in sorted(tensors):
        digest.update(canonical_json([name, tensors[name].dtype.str, tensors[name].shape]))
        digest.update(np.ascontiguousarray(tensors[name]).view(np.uint8).data)
    return digest.hexdigest()
