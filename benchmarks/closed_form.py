"""What the ridge head costs beside the bare matrix product: python -m benchmarks.closed_form [--clock cpu].

`--clock cpu` counts processor time instead of wall time, for a machine that others use too; set OMP_NUM_THREADS=1.
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
from expclip_cache.cache import Block, FeatureCache, Identity, open_shard, plan_shards, write_index, write_shard
from expclip_cache.heads import (
    Moments,
    RidgePath,
    RidgeSettings,
    TrainSettings,
    even_batches,
    fit_heads,
    held_out_losses,
    is_held_out,
    moments_fingerprint,
    read_moments,
    sum_moments,
)

SHARD_ROWS = 2048
LAMBDAS = RidgeSettings().lambdas
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}

CHILD = """
import re, sys, threading
from pathlib import Path
from expclip_cache.heads.ridge.moments_cache import sum_moments
from expclip_cache.cache.reader import FeatureCache
folder, peaks, done = Path(sys.argv[1]), {}, threading.Event()
def watch():
    while not done.wait(0.005):
        for name, size in re.findall(r"(RssAnon|RssFile):\\s+(\\d+)", Path("/proc/self/status").read_text()):
            peaks[name] = max(peaks.get(name, 0), int(size) * 1024)
watcher = threading.Thread(target=watch)
watcher.start()
images, targets = FeatureCache(folder / "x"), FeatureCache(folder / "y")
sum_moments(images, targets, 0.0, range(int(sys.argv[2])))
done.set()
watcher.join()
print(peaks["RssAnon"], peaks["RssFile"])
"""


def write_random_cache(folder: Path, rows: int, width: int, seed: int) -> FeatureCache:
    """A cache of random float16 features; every shard holds the same numbers, so any size is soon written."""
    folder.mkdir()
    identity = Identity({"dtype": "float16", "manifest": "random"}, {"width": width, "seed": seed})
    random = np.random.default_rng(seed)
    features = (random.standard_normal((SHARD_ROWS, width), dtype=np.float32) + 0.5).astype(np.float16)
    records = []
    for number, part in enumerate(plan_shards(rows, SHARD_ROWS)):
        names = tuple(f"{row:08d}.jpg".encode() for row in part)
        labels = np.full(len(part), -1, dtype=np.int32)
        block = Block(number, part.start, features[: len(part)], labels, names, (b"",) * len(part))
        records.append(open_shard(write_shard(folder, block, identity, "random")).entry().record)
    write_index(folder, identity, records, [], rows=rows, shard_rows=SHARD_ROWS, classes=(), libraries=["random"])
    return FeatureCache(folder)


def memory(folder: Path, shards: int) -> tuple[float, float]:
    """Peaks in MB of a process that sums the moments: its own memory, and pages of mapped files the kernel may drop."""
    command = [sys.executable, "-c", CHILD, str(folder), str(shards)]
    own, files = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return int(own) / 1e6, int(files) / 1e6


def speed(folder: Path, rows: int, repeats: int, clock: Callable[[], float]) -> list[Figure]:
    """The first table; leaves the moments of two halves in `folder`."""

    def timed(work: Callable[[], object], times: int = repeats) -> float:
        found = []
        for _ in range(times):
            start = clock()
            work()
            found.append(clock() - start)
        return min(found)

    images, targets = write_random_cache(folder / "x", rows, 512, 0), write_random_cache(folder / "y", rows, 4096, 1)
    shards = range(len(images.shards))
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

    def fresh() -> tuple[FeatureCache, FeatureCache]:
        return FeatureCache(folder / "x"), FeatureCache(folder / "y")

    summing = timed(lambda: sum_moments(*fresh(), 0.0, shards))
    moments = sum_moments(images, targets, 0.0, shards)
    squares = timed(lambda: grams(moments))
    written = timed(lambda: [path.head(value) for path in [RidgePath(moments)] for value in LAMBDAS])

    def chosen() -> None:
        caches = fresh()
        path = RidgePath(sum_moments(*caches, 0.1, shards))
        held_out = np.flatnonzero(is_held_out(np.arange(rows), 0.1))
        batches = ((caches[0][b], caches[1][b]) for b in even_batches(held_out, 512))
        losses = held_out_losses(path, LAMBDAS, batches, 100.0)
        path.head(LAMBDAS[int(losses.losses.argmin())])

    whole = timed(chosen)
    params = TrainSettings(dataset="random")
    contrastive = timed(lambda: fit_heads(x, y, 100.0, params, torch.device("cpu")), 1)
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


def grams(moments: Moments) -> list[np.ndarray]:
    """W'W of every lambda in the coordinates of X'X's eigenvectors: all that a cosine needs."""
    path = RidgePath(moments)
    scales = [path.shrinkage(value) for value in LAMBDAS]
    return [scale[:, None] * path.loadings_squared * scale for scale in scales]


def halves(folder: Path) -> list[str]:
    """Sum each half of the shards in a process of its own and merge in both orders; what was found, in words."""
    images, targets = FeatureCache(folder / "x"), FeatureCache(folder / "y")
    count, fingerprint = len(images.shards), moments_fingerprint(images, targets, 0.0)
    program = (
        "import sys; from pathlib import Path; from expclip_cache.heads.ridge.moments_cache import *; "
        "from expclip_cache.cache.reader import FeatureCache; folder, a, b = Path(sys.argv[1]), *map(int, sys.argv[2:]); "
        "caches = FeatureCache(folder / 'x'), FeatureCache(folder / 'y'); "
        "write_moments(folder / f'{a}-{b}.safetensors', sum_moments(*caches, 0.0, range(a, b)),"
        " moments_fingerprint(*caches, 0.0))"
    )
    parts = [(0, count // 2), (count // 2, count)]
    for part in parts:
        subprocess.run([sys.executable, "-c", program, str(folder), *map(str, part)], check=True)
    found = []
    for order in (parts, parts[::-1]):
        merged = Moments(images.width, targets.width)
        for start, end in order:
            merged.merge(read_moments(folder / f"{start}-{end}.safetensors", fingerprint))
        found.append(merged)
    found.append(sum_moments(images, targets, 0.0, range(count)))
    moments = {m.xx.value().tobytes() + m.xy.value().tobytes() for m in found}
    heads = {RidgePath(m).head(0.1).tobytes() for m in found}
    size = (folder / f"0-{count // 2}.safetensors").stat().st_size / 1e6
    return [
        f"two processes, merged in both orders, and one process: {len(moments)} distinct X'X and X'Y, "
        f"{len(heads)} distinct W (wanted: 1 and 1)",
        f"moments on disk: {size:.1f} MB, whatever the number of rows",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=48_640)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    parser.add_argument("--no-memory", action="store_true", help="leave out the run over ten times the rows (5 GB)")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        figures = speed(folder, asked.rows, asked.repeats, CLOCKS[asked.clock])
        threads = torch.get_num_threads()
        show(f"Closed form, {asked.rows:,} rows, 512 -> 4,096, {asked.clock} time, {threads} thread(s)", figures)
        for line in halves(folder):
            print(f"\n{line}")
        if asked.no_memory:
            return
        tenfold = folder / "tenfold"
        tenfold.mkdir()
        cache = write_random_cache(tenfold / "x", 10 * asked.rows, 512, 0)
        write_random_cache(tenfold / "y", 10 * asked.rows, 4096, 1)
        for where, rows in ((folder, asked.rows), (tenfold, 10 * asked.rows)):
            shards = -(-rows // cache.shard_rows)
            own, files = memory(where, shards)
            print(f"\npeak memory, {rows:,} rows: {own:.0f} MB of its own; {files:.0f} MB of mapped file pages")


if __name__ == "__main__":
    main()
