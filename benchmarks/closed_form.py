"""What a ridge head costs next to the bare matrix products: python -m benchmarks.closed_form [--clock cpu].

`--clock cpu` measures processor time instead of wall time, for a machine that is shared; set OMP_NUM_THREADS=1.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from benchmarks.measure import Figure, show
from expclip_cache.base import SilentReporter
from expclip_cache.cache import CacheWriter, FeatureCache
from expclip_cache.heads import (
    ContrastiveSettings,
    HeldOutRows,
    Moments,
    RidgePath,
    RidgeSettings,
    ShardGroups,
    complete_moments,
    held_out_losses,
    sum_all_groups,
    train_heads,
)
from expclip_cache.workers import RunSettings

SHARD_ROWS = 2048
LAMBDAS = RidgeSettings().lambdas
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}

CHILD = """
import re, sys, threading
from pathlib import Path
from expclip_cache.base import SilentReporter
from expclip_cache.cache import FeatureCache
from expclip_cache.heads import ShardGroups, sum_all_groups
from expclip_cache.workers import RunSettings
folder, peaks, done = Path(sys.argv[1]), {}, threading.Event()
def watch():
    while not done.wait(0.005):
        for name, size in re.findall(r"(RssAnon|RssFile):\\s+(\\d+)", Path("/proc/self/status").read_text()):
            peaks[name] = max(peaks.get(name, 0), int(size) * 1024)
watcher = threading.Thread(target=watch)
watcher.start()
groups = ShardGroups(FeatureCache(folder / "x"), FeatureCache(folder / "y"), 0.0)
sum_all_groups(groups, RunSettings(), SilentReporter())
done.set()
watcher.join()
print(peaks["RssAnon"], peaks["RssFile"])
"""


PART = """
import sys
from pathlib import Path
from expclip_cache.base import SilentReporter
from expclip_cache.cache import FeatureCache
from expclip_cache.heads import ShardGroups, sum_part
folder, moments, first, end = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
groups = ShardGroups(FeatureCache(folder / "x"), FeatureCache(folder / "y"), 0.0)
sum_part(moments, groups, range(first, end), SilentReporter())
"""


def write_random_cache(folder: Path, rows: int, width: int, seed: int) -> FeatureCache:
    """A cache of random float16 features. Every shard holds the same numbers, so that large caches are made quickly."""
    random = np.random.default_rng(seed)
    features = (random.standard_normal((SHARD_ROWS, width), dtype=np.float32) + 0.5).astype(np.float16)
    with CacheWriter(
        folder, manifest="random", encoder={"seed": seed}, library="random", shard_rows=SHARD_ROWS
    ) as writer:
        for first in range(0, rows, SHARD_ROWS):
            part = range(first, min(first + SHARD_ROWS, rows))
            writer.add(features[: len(part)], paths=[f"{row:08d}.jpg" for row in part])
    return FeatureCache(folder)


def memory(folder: Path) -> tuple[float, float]:
    """Peaks in MB of a process that sums the moments: its own memory, and pages of mapped files the kernel may drop."""
    command = [sys.executable, "-c", CHILD, str(folder)]
    own, files = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return int(own) / 1e6, int(files) / 1e6


def speed(folder: Path, rows: int, repeats: int, clock: Callable[[], float]) -> list[Figure]:
    """The table of times; leaves the caches in `folder`."""

    def timed(work: Callable[[], object], times: int = repeats) -> float:
        found = []
        for _ in range(times):
            start = clock()
            work()
            found.append(clock() - start)
        return min(found)

    images, targets = write_random_cache(folder / "x", rows, 512, 0), write_random_cache(folder / "y", rows, 4096, 1)
    files = sorted(folder.glob("*/shard-*.h5"))
    read = timed(lambda: [np.fromfile(path, np.uint8) for path in files])

    x, y = images[images.good_rows], targets[targets.good_rows]
    bare = {}
    for dtype in (np.float32, np.float64):
        a, b = x.astype(dtype), y.astype(dtype)
        bare[dtype] = timed(lambda a=a, b=b: (a.T @ a, a.T @ b))
    del a, b
    single, double = bare[np.float32], bare[np.float64]
    limit = max(double, read)

    def freshly_opened(held_out: float) -> ShardGroups:
        return ShardGroups(FeatureCache(folder / "x"), FeatureCache(folder / "y"), held_out)

    summing = timed(lambda: total(freshly_opened(0.0)))
    moments = total(ShardGroups(images, targets, 0.0))
    squares = timed(lambda: grams(moments))
    written = timed(lambda: [path.head(value) for path in [RidgePath(moments)] for value in LAMBDAS])

    def chosen() -> None:
        groups = freshly_opened(0.1)
        path = RidgePath(total(groups))
        losses = held_out_losses(path, LAMBDAS, HeldOutRows(groups).batches(512), 100.0)
        path.head(LAMBDAS[int(losses.losses.argmin())])

    whole = timed(chosen)
    contrastive = timed(lambda: train_heads(x, y, 100.0, ContrastiveSettings(), torch.device("cpu")), 1)
    path_all, wanted = summing + squares, "<= 1.25"
    return [
        Figure("read of the same bytes", read, None, "", f"{sum(path.stat().st_size for path in files) / 1e6:.0f} MB"),
        Figure("bare products X'X and X'Y, float32", single),
        Figure("bare products X'X and X'Y, float64", double, 1.0, "", "the limit"),
        Figure("moments: both caches opened, verified, summed", summing, summing / limit, wanted),
        Figure("moments + path of 20 lambdas as W'W (512 x 512)", path_all, path_all / limit, wanted),
        Figure("moments + 20 heads written out (4,096 x 512)", summing + written, (summing + written) / limit, wanted),
        Figure("moments of 90 % + lambda chosen on 10 % + head", whole, whole / limit),
        Figure("one contrastive run, 5 epochs, 1 seed", contrastive, contrastive / whole, "", "times the line above"),
    ]


def total(groups: ShardGroups) -> Moments:
    """The moments of all groups, summed in this process."""
    return sum_all_groups(groups, RunSettings(), SilentReporter())


def grams(moments: Moments) -> list[np.ndarray]:
    """W'W of every lambda in the coordinates of X'X's eigenvectors: all that a cosine needs."""
    path = RidgePath(moments)
    scales = [path.shrinkage(value) for value in LAMBDAS]
    return [scale[:, None] * path.loadings_squared * scale for scale in scales]


def two_parts(folder: Path) -> list[str]:
    """Sum two parts of the shards in processes of their own, in both orders, and compare with one process."""
    groups = ShardGroups(FeatureCache(folder / "x"), FeatureCache(folder / "y"), 0.0)
    count, middle = len(groups.images.shards), groups.shards(len(groups) // 2).start
    parts, found, sizes = [(0, middle), (middle, count)], [total(groups)], []
    for order in (parts, parts[::-1]):
        moments = folder / f"moments-{order[0][0]}"
        for part in order:
            subprocess.run([sys.executable, "-c", PART, str(folder), str(moments), *map(str, part)], check=True)
        sizes = [path.stat().st_size / 1e6 for path in moments.iterdir()]
        found.append(complete_moments(moments, groups, RunSettings(), SilentReporter()))
    distinct = {m.xx.tobytes() + m.xy.tobytes() for m in found}
    heads = {RidgePath(m).head(0.1).tobytes() for m in found}
    return [
        f"two processes in both orders, and one process: {len(distinct)} distinct X'X and X'Y, {len(heads)} distinct W "
        "(wanted: 1 and 1)",
        f"parts on disk: {len(sizes)} files of {sizes[0]:.1f} MB, one for each group of shards; complete: one file",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=48_640)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    parser.add_argument("--no-memory", action="store_true", help="skip the run over ten times the rows (5 GB)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        figures = speed(folder, options.rows, options.repeats, CLOCKS[options.clock])
        threads = torch.get_num_threads()
        show(f"Closed form, {options.rows:,} rows, 512 -> 4,096, {options.clock} time, {threads} thread(s)", figures)
        for line in two_parts(folder):
            print(f"\n{line}")
        if options.no_memory:
            return
        tenfold = folder / "tenfold"
        write_random_cache(tenfold / "x", 10 * options.rows, 512, 0)
        write_random_cache(tenfold / "y", 10 * options.rows, 4096, 1)
        for where, rows in ((folder, options.rows), (tenfold, 10 * options.rows)):
            own, files = memory(where)
            print(f"\npeak memory, {rows:,} rows: {own:.0f} MB of its own; {files:.0f} MB of mapped file pages")


if __name__ == "__main__":
    main()
