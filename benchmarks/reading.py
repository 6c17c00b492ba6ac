"""How fast is a cache read, compared with np.load of the same bytes? python -m benchmarks.reading."""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import xxhash

from benchmarks.measure import Figure, show, timed, timed_in_turn
from expclip_cache.cache import CacheWriter, FeatureCache

SHARD_ROWS = 2048


def write_cache(folder: Path, features: np.ndarray) -> None:
    """Write a cache of (n, w) float16 features."""
    with CacheWriter(folder, manifest="random", library="random", shard_rows=SHARD_ROWS) as writer:
        for start in range(0, len(features), SHARD_ROWS):
            part = features[start : start + SHARD_ROWS]
            writer.add(part, paths=[f"{start + place:08d}.jpg" for place in range(len(part))])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=48_640)
    options = parser.parse_args()
    random = np.random.default_rng(0)
    features = random.standard_normal((options.rows, 4096), dtype=np.float32).astype(np.float16)
    with tempfile.TemporaryDirectory() as name:
        folder, array = Path(name) / "cache", Path(name) / "all.npy"
        np.save(array, features)
        write_cache(folder, features)
        peer, hashed, ours = timed_in_turn(
            lambda: np.load(array),
            lambda: xxhash.xxh3_128(np.load(array).view(np.uint8)).digest(),
            lambda: FeatureCache(folder)[:],
            repeats=15,
        )
        rows = random.permutation(options.rows)[:512]
        one_shard = rows[0] // SHARD_ROWS * SHARD_ROWS
        start = time.perf_counter()
        cache = FeatureCache(folder)
        cache[one_shard : one_shard + 512]
        first = time.perf_counter() - start
        assert np.array_equal(cache[:], features)
        batch = timed(lambda: cache[rows], repeats=20)
    rate = f"{features.nbytes / ours / 1e9:.1f} GB/s"
    show(
        f"Reading a {options.rows:,} x 4,096 float16 cache, files in memory, checksums verified",
        [
            Figure("np.load of the same bytes", peer, note=f"{features.nbytes / peer / 1e9:.1f} GB/s"),
            Figure("np.load, then XXH3-128 of it", hashed, peer / hashed, note="the same work as ours"),
            Figure("open, verify and read all rows", ours, peer / ours, ">= 0.9", rate),
            Figure("open and read the first 512 rows", first, wanted="< 0.05 s"),
            Figure("512 random rows afterwards", batch),
        ],
    )


if __name__ == "__main__":
    main()
