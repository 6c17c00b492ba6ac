"""What does a manifest of millions of rows cost? python -m benchmarks.manifest --rows 1000000 10000000.

The rows of `--rows` are fabricated: a list as of tar shards with 10,000 images each, written as it is made. Those of
`--images` are listed and hashed from Parquet files with that many images, of which only 64 differ.
"""

import argparse
import io
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import overload

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from typing_extensions import override

from benchmarks.measure import Figure, own_peak_memory, show
from expclip_cache.base import SilentReporter
from expclip_cache.cache import CacheSettings
from expclip_cache.datasets import Manifest, build_manifest, read_manifest, write_manifest

# Private: rows that are made as they are written, as no reader of a dataset can.
from expclip_cache.datasets.manifest import manifest_rows
from expclip_cache.datasets.manifest_file import check_manifest
from expclip_cache.datasets.row_columns import PART_ROWS, RowColumns
from expclip_cache.encoders import ClipSettings
from expclip_cache.extraction.encode_missing import cache_to_fill, shard_tasks
from expclip_cache.extraction.job_run import JobRun
from expclip_cache.extraction.jobs import clip_job

TAR = 10_000
SHARD_ROWS = 4096
DIFFERENT = 64
WIDTH = 16
"""Of the features of the cache that is resumed."""


class FabricatedParts(Sequence[pa.RecordBatch]):
    """The parts of `count` rows, each made when it is asked for."""

    def __init__(self, count: int):
        self._count = count

    @override
    def __len__(self) -> int:
        return -(-self._count // PART_ROWS)

    @overload
    def __getitem__(self, place: int) -> pa.RecordBatch: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[pa.RecordBatch]: ...
    @override
    def __getitem__(self, place: int | slice) -> pa.RecordBatch | Sequence[pa.RecordBatch]:
        if isinstance(place, slice):
            return [self[number] for number in range(*place.indices(len(self)))]
        rows = range(self._count)[place * PART_ROWS : (place + 1) * PART_ROWS]
        if not rows:
            raise IndexError(place)
        random = np.random.default_rng(place)
        digests = pa.py_buffer(random.bytes(16 * len(rows)))
        return pa.RecordBatch.from_pydict(
            {
                "path": [f"{row // TAR:05d}.tar/{row:09d}.jpg" for row in rows],
                "label": pa.array(np.arange(rows.start, rows.stop) % 7, pa.int32()),
                "bytes": pa.array(random.integers(10_000, 60_000, len(rows))),
                "xxh3_128": pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), len(rows), [None, digests]),
            }
        )


def fabricate(rows: int, file: Path) -> None:
    """Write a manifest of fabricated rows."""
    classes = tuple(f"class {number}" for number in range(7))
    write_manifest(Manifest("fabricated", classes, RowColumns(FabricatedParts(rows), rows, manifest_rows)), file)


def job_run(file: Path, cache: Path, dtype: str = "float16") -> JobRun:
    """The extraction of a manifest's images, not begun."""
    job = clip_job(read_manifest(file), lambda: file.parent, ClipSettings(), cache)
    return JobRun(job, job.encoder, CacheSettings(shard_rows=SHARD_ROWS, dtype=dtype), None, SilentReporter())


def step(name: str, file: Path) -> Iterator[float]:
    """Do one step in this process; yields a time before and after it."""
    cache = file.parent / "cache"
    if name == "imports":
        yield from (0.0, 0.0)
        return
    if name == "list and hash":
        yield time.perf_counter()
        build_manifest(file.parent / "images", "parquet", name="images")
        yield time.perf_counter()
        return
    if name == "fabricate":
        yield time.perf_counter()
        fabricate(int(file.stem), file)
        yield time.perf_counter()
        return
    if name in ("plan", "plan again"):
        yield time.perf_counter()
        run = job_run(file, cache)
        run.begin()
        tasks = shard_tasks([run])
        cache_to_fill(run)
        yield time.perf_counter()
        assert len(tasks) == -(-len(run.job.manifest.rows) // SHARD_ROWS)
        run.__exit__(None, None, None)
        return
    manifest = read_manifest(file)
    yield time.perf_counter()
    if name == "open":
        manifest = read_manifest(file)
        assert (manifest.frames, len(manifest.sha256)) == (1, 64)
    if name == "one shard":
        start = len(manifest.rows) // 2
        assert len(manifest.rows[start : start + SHARD_ROWS]) == SHARD_ROWS
    if name == "labels":
        assert manifest.columns.labels.max() == 6
    if name == "check":
        check_manifest(manifest, file)
    yield time.perf_counter()


def in_own_process(name: str, file: Path) -> tuple[float, float]:
    """(seconds, MB at the peak) of a step in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.manifest", "--step", name, str(file)]
    seconds, memory = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return float(seconds), float(memory)


def measure(rows: int, folder: Path) -> None:
    """The cost of a fabricated list."""
    file = folder / f"{rows}.arrow"
    figures: list[Figure] = []
    wanted = {"open": "< 10 s and 1 GB with the plan", "plan again": "< 10 s and 1 GB"}
    said = {
        "imports": "start Python and import everything",
        "fabricate": "make the rows, hash and write them",
        "open": "open it",
        "plan": f"begin an extraction in shards of {SHARD_ROWS:,} rows, with a copy of the manifest beside them",
        "plan again": "begin it again",
        "one shard": "the rows of one shard, as a worker reads them",
        "labels": "all labels",
        "check": "compare everything with its hash, as `verify` does",
    }
    for name, what in said.items():
        seconds, memory = in_own_process(name, file)
        figures.append(Figure(what, seconds, wanted=wanted.get(name, ""), note=f"{memory:.0f} MB"))
    show(f"A manifest of {rows:,} rows, {file.stat().st_size / rows:.0f} bytes a row", figures)
    file.unlink()


def write_images(rows: int, folder: Path) -> None:
    """Parquet files with tiny images, of which only some differ, so that Parquet stores each once in a row group."""
    random, images = np.random.default_rng(0), list[bytes]()
    for _ in range(DIFFERENT):
        file = io.BytesIO()
        Image.fromarray(random.integers(0, 255, (16, 16), dtype=np.uint8)).save(file, "PNG")
        images.append(file.getvalue())
    kind = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    folder.mkdir()
    for start in range(0, rows, 100_000):
        part = [{"bytes": images[row % DIFFERENT], "path": None} for row in range(start, min(start + 100_000, rows))]
        pq.write_table(pa.table({"image": pa.array(part, kind)}), folder / f"{start:09d}.parquet", row_group_size=1000)


def measure_images(rows: int, folder: Path) -> None:
    """The cost of a list of real images, and of a half finished cache of them."""
    write_images(rows, folder / "images")
    file = folder / "images.arrow"
    _, imports = in_own_process("imports", file)
    hashed, memory = in_own_process("list and hash", file)
    write_manifest(build_manifest(folder / "images", "parquet", name="images"), file)
    figures = [
        Figure("list and hash", hashed, note=f"{memory:.0f} MB, {imports:.0f} MB of it for imports"),
        Figure("the same for a million rows", hashed / rows * 1e6, note=f"{(memory - imports) / rows * 1e6:.0f} MB"),
    ]
    show(f"A manifest of {rows:,} tiny images in Parquet files", figures)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="*", default=[1_000_000])
    parser.add_argument("--images", type=int, nargs="*", default=[100_000])
    parser.add_argument("--step", nargs=2, metavar=("STEP", "FILE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        begin, end = step(options.step[0], Path(options.step[1]))
        print(end - begin, own_peak_memory())
        return
    for rows in options.rows:
        with tempfile.TemporaryDirectory() as folder:
            measure(rows, Path(folder))
    for rows in options.images:
        with tempfile.TemporaryDirectory() as folder:
            measure_images(rows, Path(folder))


if __name__ == "__main__":
    main()
