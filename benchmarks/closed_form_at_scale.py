"""Does fitting in closed form take more memory if there are more rows? python -m benchmarks.closed_form_at_scale.

The caches are made up: narrow features, so that many rows fit on a disk, and the rows of one shard in every shard, in
another order. One row in a thousand is skipped. Every step runs in a process of its own with all its workers, measured
like `memory`: held is what belongs to these processes alone, mapped their share of mapped files. Set OMP_NUM_THREADS=1.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.measure import Figure, Peak, peak_memory, show
from expclip_cache.base import SilentReporter
from expclip_cache.cache import INDEX, CacheWriter, FeatureCache
from expclip_cache.heads import RidgeSettings, ShardGroups, complete_moments, fit_ridge
from expclip_cache.workers import RunSettings

WIDTH, TARGET_WIDTH = 16, 16
SKIPPED = 0.001
STEPS = {
    "imports": "nothing but imports",
    "open": "open both caches, pair their rows",
    "sum-1": "sum the moments, 1 process",
    "sum-2": "sum the moments, 2 processes",
    "fit": "choose lambda with these sums, write out the head",
}
PROJECTED = 100_000_000


def write_cache(folder: Path, features: np.ndarray, rows: int, seed: int) -> None:
    """A cache that repeats the rows of one shard, shifted from shard to shard, with other skipped rows in each."""
    random, shard_rows = np.random.default_rng(seed), len(features)
    paths = [f"{row:012d}.jpg" for row in range(shard_rows)]
    encoder = {"seed": seed, "logit_scale": 100.0}
    with CacheWriter(folder, manifest="random", encoder=encoder, library="random", shard_rows=shard_rows) as writer:
        for number, first in enumerate(range(0, rows, shard_rows)):
            count = min(shard_rows, rows - first)
            skipped = random.random(count) < SKIPPED
            errors = np.where(skipped, "cannot identify image file", "").tolist()
            writer.add(np.roll(features, 997 * number, axis=0)[:count], paths=paths[:count], errors=errors)


def write_pair(folder: Path, rows: int, shard_rows: int) -> None:
    """Image features and targets that follow from them, up to noise."""
    random = np.random.default_rng(0)
    images = random.standard_normal((shard_rows, WIDTH)) + 0.5
    targets = images @ random.standard_normal((WIDTH, TARGET_WIDTH))
    targets += 0.3 * random.standard_normal(targets.shape)
    for name, features, seed in (("x", images, 1), ("y", targets, 2)):
        write_cache(folder / name, features.astype(np.float16), rows, seed)


def take_step(name: str, folder: Path, settings: RidgeSettings) -> None:
    """Take one step in this process; leave its seconds, without the imports, in the folder."""
    start = time.perf_counter()
    if name != "imports":
        images, targets = FeatureCache(folder / "x"), FeatureCache(folder / "y")
        groups = ShardGroups(images, targets, settings.held_out_share)
        if name == "open":
            assert groups.fingerprint
        elif name == "fit":
            fit_ridge(images, targets, settings, moments=folder / "sum-1").write(folder / "head.safetensors")
        else:
            run = RunSettings(processes=int(name.removeprefix("sum-")))
            complete_moments(folder / name, groups, run, SilentReporter())
    (folder / "seconds").write_text(str(time.perf_counter() - start))


def measure(folder: Path, rows: int, shard_rows: int, held_out: float) -> dict[str, tuple[float, Peak]]:
    """Print the table for one number of rows.

    Returns:
        Seconds and peak memory of each step.
    """
    start = time.perf_counter()
    write_pair(folder, rows, shard_rows)
    made = time.perf_counter() - start
    found: dict[str, tuple[float, Peak]] = {}
    for name in STEPS:
        command = ["--step", name, str(folder), "--held-out", str(held_out)]
        peak = peak_memory("benchmarks.closed_form_at_scale", *command)
        found[name] = float((folder / "seconds").read_text()), peak
    same = (folder / "sum-1/moments.safetensors").read_bytes() == (folder / "sum-2/moments.safetensors").read_bytes()
    sizes = [sum(path.stat().st_size for path in folder.glob(f"[xy]/{files}")) / 1e6 for files in (INDEX, "shard-*")]
    what = f"{rows:,} rows in shards of {shard_rows:,}, {WIDTH} -> {TARGET_WIDTH}, {held_out:g} held out"
    show(
        f"Closed form, {what} (made in {made:.0f} s)",
        [
            Figure(STEPS[name], seconds, note=f"held {peak.held:.0f} MB, mapped {peak.mapped:.0f} MB")
            for name, (seconds, peak) in found.items()
        ],
    )
    print(
        f"\nindexes {sizes[0]:.1f} MB, shards {sizes[1]:,.0f} MB; the sums of one and of two processes are "
        f"{'the same bytes' if same else 'DIFFERENT'}"
    )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 10_000_000])
    parser.add_argument("--shard-rows", type=int, default=4096)
    parser.add_argument("--held-out", type=float, default=0.1, help="share of the rows that lambda is chosen on")
    parser.add_argument("--folder", type=Path, help="where there is room for the caches, 177 bytes a row")
    parser.add_argument("--step", nargs=2, metavar=("STEP", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        take_step(options.step[0], Path(options.step[1]), RidgeSettings(held_out=options.held_out))
        return
    found = {}
    for rows in options.rows:
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            found[rows] = measure(Path(folder), rows, options.shard_rows, options.held_out)
    if len(found) < 2:
        return
    low, high = sorted(found)[-2:]
    print(f"\n{PROJECTED:,} rows, on the line through the last two:")
    for name, what in STEPS.items():
        (low_time, low_peak), (high_time, high_peak) = found[low][name], found[high][name]
        share = (PROJECTED - high) / (high - low)
        seconds = high_time + share * (high_time - low_time)
        held = high_peak.held + share * (high_peak.held - low_peak.held)
        print(f"{what}: {seconds:.0f} s, {held:.0f} MB held")


if __name__ == "__main__":
    main()
