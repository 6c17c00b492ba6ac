"""What does the index of 100 million rows cost? python -m benchmarks.index --shards 25000 250000.

Only the shards that `verify --sample` reads are real. The others are a header and a length: sparse files whose columns
read as zeros.
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
    Block,
    FeatureCache,
    Folder,
    Identity,
    Json,
    ShardWriter,
    canonical_json,
    inspect_cache,
    shard_name,
    verify_cache,
)

# Private: a `CacheWriter` writes every shard it lists, and a quarter of a million shards would take a terabyte.
from expclip_cache.cache.header import SMALLEST, digest_of, facts_of, first_line, header_text
from expclip_cache.cache.index import read_index, write_index
from expclip_cache.cache.verify import spread

WIDTH, ROWS = 512, 4096
IDENTITY = Identity(
    {"encoder": "clip-image", "model": "random", "dtype": "float16", "manifest": "0" * 64},
    {"width": WIDTH, "weights_sha256": "0" * 64, "logit_scale": 100.0},
)
LIBRARY = "random"


def step(name: str, folder: str, sample: int) -> None:
    """Do one step in this process and print its seconds, without the imports, and the peak memory in MB."""
    start = time.perf_counter()
    if name == "open":
        FeatureCache(folder)
    if name == "inspect":
        inspect_cache(folder)
    if name == "verify":
        assert not verify_cache(folder, SilentReporter(), sample=sample).broken
    print(time.perf_counter() - start, own_peak_memory())


def in_own_process(name: str, folder: Path, sample: int) -> tuple[float, float]:
    """(seconds, MB) of a step in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.index", "--step", name, str(folder), "--sample", str(sample)]
    seconds, memory = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return float(seconds), float(memory)


def path_of(row: int) -> str:
    """The path of a row's image."""
    return f"{row // 1000:06d}/{row:09d}.jpg"


def random_block(number: int, random: np.random.Generator) -> Block:
    """A full shard of random features."""
    rows = range(number * ROWS, (number + 1) * ROWS)
    return Block(
        number=number,
        first_row=rows.start,
        features=random.standard_normal((ROWS, WIDTH)).astype(np.float16),
        labels=np.full(ROWS, -1, dtype=np.int32),
        paths=tuple(path_of(row).encode() for row in rows),
        errors=(b"",) * ROWS,
    )


def write_sparse_cache(folder: Path, shards: int, unreadable: float, real: set[int]) -> None:
    """Write a cache in which all shards have valid headers, but only those with a number in `real` have content.

    Args:
        unreadable: share of the rows that the index lists as skipped.
        real: with 0 among them, whose layout all shards share.
    """
    random, store = np.random.default_rng(0), Folder(folder)
    writer = ShardWriter(store, IDENTITY, LIBRARY)
    real_records = {number: writer.write(random_block(number, random)).record for number in sorted(real)}
    layout = store.skim(shard_name(0)).header
    records: list[Json] = []
    for number in range(shards):
        if number in real:
            records.append(real_records[number])
            continue
        text = header_text(facts_of(number, number * ROWS, IDENTITY, LIBRARY), layout.columns, SMALLEST, layout.bytes)
        digest = digest_of(text)
        with (folder / shard_name(number)).open("wb") as file:
            file.write(first_line(digest) + text)
            file.truncate(layout.bytes)
        changed = {"name": shard_name(number), "first_row": number * ROWS, "xxh3_128": digest}
        records.append(real_records[0] | changed)
    rows = shards * ROWS
    chosen = np.unique(random.integers(0, rows, int(rows * unreadable))).tolist()
    skipped = [
        {"row": row, "path": path_of(row), "reason": "cannot identify image file"}
        for row in chosen
        # All rows of a real shard have features.
        if row // ROWS not in real
    ]
    write_index(folder, IDENTITY, records, skipped, rows=rows, shard_rows=ROWS, classes=(), libraries=[LIBRARY])
    (folder / MANIFEST).write_bytes(canonical_json({"sha256": IDENTITY.settings["manifest"]}) + b"\n")


def add_classes(folder: Path) -> None:
    """Write the same index with class names, which makes `inspect` count labels."""
    index = read_index(Folder(folder))
    same = {name: index[name] for name in ("rows", "shard_rows", "libraries")}
    write_index(folder, IDENTITY, index["shards"], index["skipped"], classes=["a", "b"], **same)


def measure(folder: Path, shards: int, unreadable: float, sample: int) -> None:
    real = set(spread(range(shards), sample))
    start = time.perf_counter()
    write_sparse_cache(folder, shards, unreadable, real)
    made = time.perf_counter() - start
    index_mb = (folder / INDEX).stat().st_size / 1e6
    _, imports_mb = in_own_process("nothing", folder, sample)
    opened, peak_mb = in_own_process("open", folder, sample)
    cache = FeatureCache(folder)
    row = max(real) * ROWS + 7
    cache[row]
    one_row = timed(lambda: [cache[row] for _ in range(1000)]) / 1000
    listed = timed(cache.has_every_shard, repeats=1)
    inspected, inspect_mb = in_own_process("inspect", folder, sample)
    verified, verify_mb = in_own_process("verify", folder, sample)
    add_classes(folder)
    labelled, labelled_mb = in_own_process("inspect", folder, sample)
    size = (folder / shard_name(0)).stat().st_size
    skipped = f"{index_mb:.1f} MB, {len(cache.skipped):,} skipped rows"
    memory = f"{peak_mb:.0f} MB, {imports_mb:.0f} MB of it for imports"
    figures = [
        Figure("open the index", opened, wanted="< 2 s", note=skipped),
        Figure("peak memory", None, wanted="< 500 MB", note=memory),
        Figure("features of one row, shard mapped", one_row, note=f"{one_row * 1e6:.0f} microseconds"),
        Figure("check that every shard is there and as long as recorded", listed, note="what a second extraction does"),
        Figure("inspect", inspected, note=f"{inspect_mb:.0f} MB"),
        Figure("inspect with class names, which counts labels", labelled, note=f"{labelled_mb:.0f} MB"),
        Figure(f"verify --sample {sample}", verified, note=f"{verify_mb:.0f} MB"),
    ]
    title = f"An index of {shards:,} shards, {shards * ROWS:,} rows of {WIDTH} float16, {size / 1e6:.1f} MB a shard"
    show(f"{title} (made in {made:.0f} s)", figures)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shards", type=int, nargs="+", default=[25_000])
    parser.add_argument("--unreadable", type=float, default=0.001, help="share of the rows")
    parser.add_argument("--sample", type=int, default=20, help="shards that are real and that verify reads")
    parser.add_argument("--step", nargs=2, metavar=("STEP", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        name, folder = options.step
        step(name, folder, options.sample)
        return
    for shards in options.shards:
        with tempfile.TemporaryDirectory() as folder:
            measure(Path(folder), shards, options.unreadable, options.sample)


if __name__ == "__main__":
    main()
