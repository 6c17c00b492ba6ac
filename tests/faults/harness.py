"""What the fault tests share: pictures, a tiny encoder, and runs of the real command through the zygote."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PICTURES = 10
SHARD_ROWS = 4
BAD = 6
MANY = ("--shard-rows=1", "--batch-size=1")
"""Options for an extraction that writes often: ten shards."""


@dataclass(frozen=True)
class Run:
    """How a run of the command went.

    Attributes:
        status: exit code, or minus the signal that ended it.
        hung: it did not end by itself.
        working: seconds from taking the lock to writing the index, where it came to that.
        to_end: seconds from the signal to the end.
        left: processes that outlived it.
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
    """The process that forks the runs."""

    def __init__(self, folder: Path):
        self.folder = folder
        environment = {
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": os.pathsep.join([str(ROOT / "pipeline"), str(HERE)]),
        }
        self.process = subprocess.Popen(
            [sys.executable, HERE / "zygote.py"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def extract(self, out: Path, *more: str, **request: object) -> Run:
        """Extract the pictures into `out`; see `zygote.watch` and `injection.install` for the request."""
        request |= {"folder": str(self.folder), "out": str(out), "command": [*extraction(out), *more]}
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(f"the zygote ended with {self.process.wait()}")
        return Run(**json.loads(answer))

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


def extraction(out: Path) -> list[str]:
    """The command line, for a process that runs in the folder of `draw_pictures`."""
    options = {"model": "clip", "shard-rows": SHARD_ROWS, "batch-size": 3, "device": "cpu", "workers": 0}
    return ["extract", "faces", str(out), *(f"--{name}={value}" for name, value in options.items())]


def draw_pictures(folder: Path) -> None:
    """Small noisy pictures, one of them broken."""
    random = np.random.default_rng(0)
    (folder / "faces").mkdir()
    for number in range(PICTURES):
        pixels = random.integers(0, 256, (30, 24, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "faces" / f"{number:02d}.png")
    (folder / "faces" / f"{BAD:02d}.png").write_bytes(b"no picture")


def contents(out: Path) -> dict[str, bytes]:
    """Every file of a cache but the lock."""
    return {path.name: path.read_bytes() for path in sorted(out.iterdir()) if path.name != ".lock"}


def finished(out: Path) -> dict[str, int]:
    """The shards that are there, by name, with their inode: a file made anew has another."""
    return {path.name: path.stat().st_ino for path in out.glob("shard-*.h5")} if out.exists() else {}
