"""How fast is a cache read against np.load of the same bytes? python -m benchmarks.reading."""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import xxhash

from benchmarks.measure import Figure, show, timed, timed_in_turn
from expclip_cache.cache import Block, FeatureCache, Identity, open_shard, plan_shards, write_index, write_shard


def write_cache(folder: Path, features: np.ndarray, shard_rows: int) -> None:
    """A cache of the given (n, w) float16 features."""
    n, width = features.shape
    identity = Identity({"dtype": "float16", "manifest": "random"}, {"width": width})
    records = []
    for number, rows in enumerate(plan_shards(n, shard_rows)):
        part = features[rows.start : rows.stop]
        names = tuple(f"{row:08d}.jpg".encode() for row in rows)
        labels = np.full(len(part), -1, dtype=np.int32)
        block = Block(number, rows.start, part, labels, names, (b"",) * len(part))
        records.append(open_shard(write_shard(folder, block, identity, "random")).entry().record)
    write_index(folder, identity, records, [], rows=n, shard_rows=shard_rows, classes=(), libraries=["random"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=48_640)
    asked = parser.parse_args()
    random = np.random.default_rng(0)
    features = random.standard_normal((asked.rows, 4096), dtype=np.float32).astype(np.float16)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        np.save(folder / "all.npy", features)
        write_cache(folder, features, 2048)
        peer, hashed, ours = timed_in_turn(
            lambda: np.load(folder / "all.npy"),
            lambda: xxhash.xxh3_128(np.load(folder / "all.npy").view(np.uint8)).digest(),
            lambda: FeatureCache(folder)[np.arange(asked.rows)],
            repeats=15,
        )
        rows = random.permutation(asked.rows)[:512]
        start = time.perf_counter()
        cache = FeatureCache(folder)
        cache[rows[:1] // 2048 * 2048 + np.arange(512)]
        first = time.perf_counter() - start
        cache[np.arange(asked.rows)]
        batch = timed(lambda: cache[rows], repeats=20)
    show(
        f"Reading a {asked.rows:,} x 4,096 float16 cache, files in memory, checksums verified",
        [
            Figure("np.load of the same bytes", peer, None, "", f"{features.nbytes / peer / 1e9:.1f} GB/s"),
            Figure("np.load, then XXH3-128 of it", hashed, peer / hashed, "", "as much work as ours"),
            Figure(
                "open, verify and read all", ours, peer / ours, ">= 0.9", f"{features.nbytes / ours / 1e9:.1f} GB/s"
            ),
            Figure("open and read the first 512 rows", first, None, "< 0.05 s"),
            Figure("512 random rows afterwards", batch),
        ],
    )


if __name__ == "__main__":
    main()
