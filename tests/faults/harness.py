"""What the fault tests share: images, a tiny encoder, and runs of the real command through the zygote."""

import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
IMAGES = 10
SHARD_ROWS = 4
UNREADABLE = 6
MANY_SHARDS = ("--shard-rows=1", "--batch-size=1")
"""Options for an extraction that writes often: ten shards."""


@dataclass(frozen=True)
class Run:
    """The outcome of one run of the command.

    Attributes:
        status: exit code, or minus the signal that ended it.
        hung: it did not end by itself.
        working: seconds from taking the lock to writing the index; None if it did not get that far.
        to_end: seconds from the signal to the end; None if no signal was sent.
        left: ids of the processes that outlived it.
        output: standard output and standard error.
    """

    status: int
    hung: bool
    working: float | None
    to_end: float | None
    left: list[int]
    output: str

    @property
    def last_line(self) -> str:
        return self.output.strip().splitlines()[-1] if self.output.strip() else ""


class Zygote:
    """The process that forks the runs, see zygote.py."""

    def __init__(self, folder: Path):
        self.folder = folder
        paths = [ROOT / "pipeline", ROOT / "tests/support", HERE]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(map(str, paths))}
        self.process = subprocess.Popen(
            [sys.executable, HERE / "zygote.py"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def extract(self, out: Path, *more: str, layout: str = "images", **request: object) -> Run:
        """Extract the images into `out`; see `zygote.watch` and `injection.install` for the request."""
        request |= {"folder": str(self.folder), "out": str(out), "command": [*extract_command(out, layout), *more]}
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(f"the zygote ended with status {self.process.wait()}")
        return Run(**json.loads(answer))

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


def extract_command(out: Path, layout: str = "images") -> list[str]:
    """The arguments of the command, for a process whose working folder is the one of `write_images`."""
    options = {"model": "clip", "shard-rows": SHARD_ROWS, "batch-size": 3, "device": "cpu", "workers": 0}
    options |= {"layout": layout}
    return ["extract", layout, str(out), *(f"--{name}={value}" for name, value in options.items())]


def write_images(folder: Path) -> None:
    """Write small images of noise, one of them unreadable."""
    random = np.random.default_rng(0)
    (folder / "images").mkdir()
    for number in range(IMAGES):
        pixels = random.integers(0, 256, (30, 24, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "images" / f"{number:02d}.png")
    (folder / "images" / f"{UNREADABLE:02d}.png").write_bytes(b"not an image")


def write_tar(path: Path, images: Sequence[Path]) -> None:
    with tarfile.open(path, "w") as tar:
        for image in images:
            tar.add(image, image.name)


def write_parquet(path: Path, images: Sequence[Path]) -> None:
    """With row groups of two images."""
    table = pa.table({"image": [{"bytes": image.read_bytes(), "path": image.name} for image in images]})
    pq.write_table(table, path, row_group_size=2)


def write_containers(folder: Path) -> None:
    """Write the images again, five each into two tar shards and into two Parquet files."""
    images = sorted((folder / "images").iterdir())
    for layout, suffix, write in (("webdataset", "tar", write_tar), ("parquet", "parquet", write_parquet)):
        (folder / layout).mkdir()
        for number in range(2):
            write(folder / layout / f"{number}.{suffix}", images[5 * number : 5 * number + 5])


def files_in(out: Path) -> dict[str, bytes]:
    """The content of every file of a cache, except the lock, by name."""
    return {path.name: path.read_bytes() for path in sorted(out.iterdir()) if path.name != ".lock"}


def finished_shards(out: Path) -> dict[str, int]:
    """The inode of every finished shard, by name; a file that is written again gets another inode."""
    return {path.name: path.stat().st_ino for path in out.glob("shard-*.h5")} if out.exists() else {}
