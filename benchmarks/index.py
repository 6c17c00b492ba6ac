"""What does the index of 100 million rows cost? python -m benchmarks.index --shards 25000 250000.

All shards but those that `verify --sample` reads are a head and a length: sparse files, whose columns read as zeros.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.measure import Figure, own_peak_memory, show, timed
from expclip_cache.base import SilentReporter
from expclip_cache.cache import (
    INDEX,
    MANIFEST,
    SMALLEST,
    Block,
    FeatureCache,
    Identity,
    Json,
    canonical_json,
    digest_of,
    facts_of,
    first_line,
    head_text,
    inspect_cache,
    open_shard,
    shard_name,
    spread,
    verify_cache,
    write_index,
    write_shard,
)
from expclip_cache.extraction import has_every_shard

WIDTH, ROWS = 512, 4096
IDENTITY = Identity(
    {"encoder": "clip-image", "model": "random", "dtype": "float16", "manifest": "0" * 64},
    {"width": WIDTH, "weights_sha256": "0" * 64, "logit_scale": 100.0},
)
LIBRARY = "random"


def step(name: str, folder: str, sample: int) -> None:
    """Do one thing in this process and print seconds, without the imports, and the peak of memory in MB."""
    start = time.perf_counter()
    if name == "open":
        FeatureCache(folder)
    if name == "inspect":
        inspect_cache(folder)
    if name == "verify":
        assert not verify_cache(folder, SilentReporter(), sample=sample).broken
    print(time.perf_counter() - start, own_peak_memory())


def alone(name: str, folder: Path, sample: int) -> tuple[float, float]:
    """(seconds, MB) of a step in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.index", "--do", name, str(folder), "--sample", str(sample)]
    seconds, memory = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return float(seconds), float(memory)


def fabricate(folder: Path, shards: int, unreadable: float, real: set[int]) -> None:
    """Write a cache whose shards have true heads, and true content where their number is in `real`."""
    random = np.random.default_rng(0)
    records: list[Json] = []
    for number in range(shards):
        first = number * ROWS
        if number in real or not records:
            features = random.standard_normal((ROWS, WIDTH)).astype(np.float16)
            paths = tuple(f"{row // 1000:06d}/{row:09d}.jpg".encode() for row in range(first, first + ROWS))
            labels = np.full(ROWS, -1, dtype=np.int32)
            block = Block(number, first, features, labels, paths, (b"",) * ROWS)
            shard = open_shard(write_shard(folder, block, IDENTITY, LIBRARY))
            records.append(shard.entry().record)
            columns, total = shard.header.columns, shard.header.bytes
            continue
        text = head_text(facts_of(number, first, IDENTITY, LIBRARY), columns, SMALLEST, total)
        digest = digest_of(text)
        with (folder / shard_name(number)).open("wb") as file:
            file.write(first_line(digest) + text)
            file.truncate(total)
        records.append(records[0] | {"name": shard_name(number), "first_row": first, "xxh3_128": digest})
    # A real shard says that all its rows are good.
    rows = shards * ROWS
    chosen = np.unique(random.integers(0, rows, int(rows * unreadable))).tolist()
    skipped = [
        {"row": row, "path": f"{row // 1000:06d}/{row:09d}.jpg", "reason": "cannot identify image file"}
        for row in chosen
        if row // ROWS not in real
    ]
    write_index(folder, IDENTITY, records, skipped, rows=rows, shard_rows=ROWS, classes=(), libraries=[LIBRARY])
    (folder / MANIFEST).write_bytes(canonical_json({"sha256": IDENTITY.settings["manifest"]}) + b"\n")


def label(folder: Path) -> None:
    """The same index with class names, so that labels are counted."""
    index = FeatureCache(folder).index
    rest = {name: index[name] for name in ("rows", "shard_rows", "libraries")}
    write_index(folder, IDENTITY, index["shards"], index["skipped"], classes=["a", "b"], **rest)


def measure(folder: Path, shards: int, unreadable: float, sample: int) -> None:
    real = set(spread(range(shards), sample))
    start = time.perf_counter()
    fabricate(folder, shards, unreadable, real)
    made = time.perf_counter() - start
    index_mb = (folder / INDEX).stat().st_size / 1e6
    _, empty = alone("nothing", folder, sample)
    opened, peak = alone("open", folder, sample)
    cache = FeatureCache(folder)
    asked = np.random.default_rng(1).integers(0, cache.rows, 100_000).tolist()
    lookup = timed(lambda: [cache.record_of(row) for row in asked]) / len(asked)
    row = np.array([max(real) * ROWS + 7])
    cache[row]
    gather = timed(lambda: [cache[row] for _ in range(1000)]) / 1000
    listed = timed(lambda: has_every_shard(cache), repeats=1)
    inspected, inspect_mb = alone("inspect", folder, sample)
    verified, verify_mb = alone("verify", folder, sample)
    label(folder)
    labelled, labelled_mb = alone("inspect", folder, sample)
    one = (folder / shard_name(0)).stat().st_size
    figures = [
        Figure(
            "open the index", opened, wanted="< 2 s", note=f"{index_mb:.1f} MB, {len(cache.skipped):,} unreadable rows"
        ),
        Figure("peak memory", None, wanted="< 500 MB", note=f"{peak:.0f} MB, of these {empty:.0f} MB imports"),
        Figure("the shard of a row", lookup, wanted="< 10 microseconds", note=f"{lookup * 1e6:.2f} microseconds"),
        Figure("one row's features, shard mapped", gather, note=f"{gather * 1e6:.0f} microseconds"),
        Figure("every shard there and as long as recorded", listed, note="what a second extraction does"),
        Figure("inspect", inspected, note=f"{inspect_mb:.0f} MB"),
        Figure("the same with class names: labels counted", labelled, note=f"{labelled_mb:.0f} MB"),
        Figure(f"verify --sample {sample}", verified, note=f"{verify_mb:.0f} MB"),
    ]
    title = f"An index of {shards:,} shards, {shards * ROWS:,} rows of {WIDTH} float16, {one / 1e6:.1f} MB a shard"
    show(f"{title} (made in {made:.0f} s)", figures)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shards", type=int, nargs="+", default=[25_000])
    parser.add_argument("--unreadable", type=float, default=0.001, help="share of the rows")
    parser.add_argument("--sample", type=int, default=20)
    parser.add_argument("--do", nargs=2, metavar=("STEP", "FOLDER"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.do:
        step(*asked.do, asked.sample)
        return
    for shards in asked.shards:
        with tempfile.TemporaryDirectory() as folder:
            measure(Path(folder), shards, asked.unreadable, asked.sample)


if __name__ == "__main__":
    main()
