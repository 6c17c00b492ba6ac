"""How fast is a cache read, compared with np.load of the same bytes? python -m benchmarks.reading (Linux).

Every file is read from memory (warm) and from the disk (cold: the kernel's copies are dropped first). A first reading
verifies every checksum; a process that has done so reads unchanged files without, which shows what checksums cost.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import xxhash

from benchmarks.measure import Figure, show, timed, times_in_turn
from expclip_cache.cache import CacheWriter, FeatureCache
from expclip_cache.heads import CachedRows

SHARD_ROWS = 2048

FIRST_READING = 2
"""Number of the work, among those that are timed in turn, before which the files must not count as verified."""


def write_cache(folder: Path, features: np.ndarray) -> None:
    """Write a cache of (n, w) float16 features."""
    with CacheWriter(folder, manifest="random", library="random", shard_rows=SHARD_ROWS) as writer:
        for start in range(0, len(features), SHARD_ROWS):
            part = features[start : start + SHARD_ROWS]
            writer.add(part, paths=[f"{start + place:08d}.jpg" for place in range(len(part))])


def all_rows_figures(folder: Path, array: Path, repeats: int, *, cold: bool) -> list[Figure]:
    """Every row of a cache, against np.load of a file with the same features."""
    shards, size = sorted(folder.glob("shard-*")), array.stat().st_size

    def prepare(number: int) -> None:
        if number == FIRST_READING:
            for shard in shards:
                os.utime(shard)
        if cold:
            _drop_from_memory([*shards, array])

    works = {
        "np.load": lambda: np.load(array),
        "np.load, then XXH3-128 of it": lambda: xxhash.xxh3_128(np.load(array).view(np.uint8)).digest(),
        "open, verify and read": lambda: FeatureCache(folder)[:],
        "open and read, verified before": lambda: FeatureCache(folder)[:],
        f"the same, {SHARD_ROWS:,} rows at a time, as training does": lambda: _as_training(FeatureCache(folder)),
    }
    peer, *others = times_in_turn(*works.values(), before=prepare, repeats=repeats)
    where = "disk" if cold else "memory"
    figures = [Figure(f"{where}: np.load", min(peer), note=f"{size / min(peer) / 1e9:.1f} GB/s")]
    for number, (what, times) in enumerate(zip(list(works)[1:], others, strict=True), 1):
        low, middle, high = statistics.quantiles([a / b for a, b in zip(peer, times, strict=True)], n=4)
        wanted = ">= 0.9" if number == FIRST_READING else ""
        note = f"{size / min(times) / 1e9:.1f} GB/s; ratio in half of the rounds {low:.2f} to {high:.2f}, {middle:.2f}"
        figures.append(Figure(f"{where}: {what}", min(times), min(peer) / min(times), wanted, note))
    return figures


def batch_figures(folder: Path, features: np.ndarray) -> list[Figure]:
    """The first batch of a cache that was never opened, and a later one."""
    rows = np.random.default_rng(0).permutation(len(features))[:512]
    for shard in folder.glob("shard-*"):
        os.utime(shard)
    start = time.perf_counter()
    cache = FeatureCache(folder)
    cache[:512]
    first = time.perf_counter() - start
    assert np.array_equal(cache[:], features)
    batch = timed(lambda: cache[rows], repeats=20)
    return [
        Figure("memory: open, verify and read the first 512 rows", first, wanted="< 0.05 s"),
        Figure("memory: 512 random rows afterwards", batch),
    ]


def _as_training(cache: FeatureCache) -> None:
    rows = CachedRows([cache], np.arange(len(cache)))
    for start in range(0, len(cache), SHARD_ROWS):
        rows[np.arange(start, min(start + SHARD_ROWS, len(cache)))]


def _drop_from_memory(paths: Iterable[Path]) -> None:
    for path in paths:
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=48_640, help="of width 4,096; eight times as many of width 512")
    parser.add_argument("--repeats", type=int, default=15)
    options = parser.parse_args()
    for width in (4096, 512):
        rows = options.rows * 4096 // width
        features = np.random.default_rng(0).standard_normal((rows, width), dtype=np.float32).astype(np.float16)
        with tempfile.TemporaryDirectory() as name:
            folder, array = Path(name) / "cache", Path(name) / "all.npy"
            np.save(array, features)
            write_cache(folder, features)
            figures = all_rows_figures(folder, array, options.repeats, cold=False)
            figures += batch_figures(folder, features)
            figures += all_rows_figures(folder, array, options.repeats, cold=True)
        shards = -(-rows // SHARD_ROWS)
        show(f"A cache of {rows:,} x {width:,} float16, {features.nbytes / 1e6:.0f} MB in {shards} shards", figures)


if __name__ == "__main__":
    main()
