"""Images in a folder, in tar shards and in Parquet files: python -m benchmarks.containers [--images 4000] [--side 224].

What is timed is an extraction without its encoder: hash, then read, compare and decode every image.
"""

import argparse
import io
import tarfile
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.extraction import write_photos
from benchmarks.measure import Figure, show, timed
from expclip_cache.datasets import FolderLayout, Manifest, build_manifest
from expclip_cache.encoders.preprocess import preprocess
from expclip_cache.extraction import Images, decode_batches, plan_batches

SHARD = 1000
"""Images in a tar and in a Parquet file."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=4000)
    parser.add_argument("--side", type=int, default=224, help="width and height of the photos")
    parser.add_argument("--workers", type=int, default=2, help="decoding processes")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        roots = {each: Path(name) / each for each in ("images", "webdataset", "parquet")}
        for root in roots.values():
            root.mkdir()
        write_photos(roots["images"], options.images, options.side)
        files = sorted(roots["images"].iterdir())
        for start in range(0, len(files), SHARD):
            _write_shard(files[start : start + SHARD], roots, start // SHARD)
        figures: list[Figure] = []
        layouts: tuple[FolderLayout, ...] = ("images", "webdataset", "parquet")
        limits: dict[str, float] = {}
        for layout in layouts:
            hashing = timed(lambda layout=layout: build_manifest(roots[layout], layout), repeats=3)
            manifest = build_manifest(roots[layout], layout)
            decoding = timed(lambda m=manifest, r=roots[layout]: _decode(m, r, options.workers), repeats=3)
            for what, seconds in (("list and hash", hashing), ("read and decode", decoding)):
                ratio = seconds / limits.setdefault(what, seconds)
                figures.append(Figure(f"{layout}: {what}", seconds, ratio, note=f"{options.images / seconds:.0f}/s"))
    show(f"{options.images:,} JPEGs of {options.side} x {options.side}", figures)


def _decode(manifest: Manifest, root: Path, workers: int) -> None:
    batches = [(0, rows) for rows in plan_batches([range(len(manifest.rows))], 64)]
    how = preprocess("reference", 224)
    with decode_batches([Images(manifest, root)], how, batches, workers=workers, pin=False) as decoded:
        for _ in decoded:
            pass


def _write_shard(files: list[Path], roots: dict[str, Path], number: int) -> None:
    with tarfile.open(roots["webdataset"] / f"{number:05}.tar", "w") as tar:
        for file in files:
            info = tarfile.TarInfo(file.name)
            info.size = file.stat().st_size
            tar.addfile(info, io.BytesIO(file.read_bytes()))
    images = [{"bytes": file.read_bytes(), "path": file.name} for file in files]
    pq.write_table(pa.table({"image": images}), roots["parquet"] / f"{number:05}.parquet", row_group_size=100)


if __name__ == "__main__":
    main()
