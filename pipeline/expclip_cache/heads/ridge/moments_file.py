"""Moments on disk: safetensors with a checksum and the fingerprint of what they are the moments of."""

import json
from pathlib import Path

import numpy as np
import xxhash

from expclip_cache.base import CacheError, make_folder, write_atomically
from expclip_cache.cache import canonical_json
from expclip_cache.heads.ridge.moments import Moments


def write_moments(path: Path, moments: Moments, groups: range, fingerprint: str) -> None:
    """Write the moments of one group or of all; the same moments give the same bytes.

    Args:
        groups: the groups they are the sums of.
        fingerprint: see `ShardGroups.fingerprint`.
    """
    from safetensors.numpy import save

    tensors = {"xx": moments.xx, "xy": moments.xy}
    about = {
        "fingerprint": fingerprint,
        "groups": [groups.start, groups.stop],
        "rows": moments.rows,
        "xxh3_128": _checksum(tensors),
    }
    make_folder(path.parent)
    write_atomically(path, save(tensors, metadata={"about": json.dumps(about, sort_keys=True)}))


def read_moments(path: Path, fingerprint: str) -> tuple[Moments, range]:
    """Read moments and the groups they are the sums of.

    Raises:
        CacheError: the file is missing or damaged, or holds moments of other features, other settings or another
            version.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            about = json.loads(file.metadata()["about"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
        if about["fingerprint"] != fingerprint:
            raise CacheError(
                f"{path}: expected moments with the fingerprint {fingerprint[:12]}, found {about['fingerprint'][:12]}: "
                "of other features, another held-out share or another version. Delete it and sum again."
            )
        intact = about["xxh3_128"] == _checksum(tensors)
        moments = Moments(0, 0)
        moments.rows, moments.xx, moments.xy = about["rows"], tensors["xx"], tensors["xy"]
        groups = range(*about["groups"])
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise CacheError(f"{path}: cannot be read as moments ({type(error).__name__}: {error}).") from None
    if not intact:
        raise CacheError(f"{path}: the content does not match its checksum. Delete it and sum again.")
    return moments, groups


def _checksum(tensors: dict[str, np.ndarray]) -> str:
    digest = xxhash.xxh3_128()
    for name in sorted(tensors):
        digest.update(canonical_json([name, tensors[name].dtype.str, tensors[name].shape]))
        digest.update(np.ascontiguousarray(tensors[name]).view(np.uint8).data)
    return digest.hexdigest()
