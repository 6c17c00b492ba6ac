"""The same photos and the same random ViT-B/32 in clip-retrieval's inference: its rate, and what a kill leaves.

clip-retrieval needs an environment of its own, because its requirements are older than ours:

    uv venv --python 3.11 peer
    uv pip install --python peer/bin/python "clip-retrieval==2.45.0" "setuptools<70"
    python -m benchmarks.peer_clip_retrieval --peer peer/bin/python

Both programs get the same batch size and number of workers, CLIP's own preprocessing, and float32. A rate is computed
from the difference between a run over all photos and a run over one batch, so start-up and loading do not count.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.extraction import write_photos
from benchmarks.measure import Figure, show

PART = 64
"""Photos per shard of ours, and per partition of clip-retrieval's where it writes several."""


@dataclass(frozen=True)
class Contender:
    """One of the two programs.

    Attributes:
        command: (folder of photos, output folder) -> the command line.
        files: glob pattern of its finished feature files.
        parts: number of feature files it writes.
    """

    name: str
    command: Callable[[Path, Path], list[str]]
    files: str
    parts: int

    def start(self, photos: Path, out: Path) -> subprocess.Popen:
        """Run it, without output and in a process group of its own."""
        silent = subprocess.DEVNULL
        return subprocess.Popen(self.command(photos, out), start_new_session=True, stdout=silent, stderr=silent)

    def seconds(self, photos: Path, out: Path) -> float:
        """Wall time of a complete run.

        Raises:
            SystemExit: it failed.
        """
        begin = time.perf_counter()
        if self.start(photos, out).wait():
            raise SystemExit(f"{self.name} failed; run it by hand: {' '.join(self.command(photos, out))}")
        return time.perf_counter() - begin

    def finished(self, out: Path) -> dict[str, tuple[int, int]]:
        """Its feature files: name -> (inode, modification time)."""
        found = {path: path.stat() for path in sorted(out.glob(self.files))}
        return {path.name: (status.st_ino, status.st_mtime_ns) for path, status in found.items()}

    def is_half_done(self, out: Path, seconds: float, undisturbed: float) -> bool:
        """Whether half of its files are there; of a single file, whether half of the time has passed."""
        if self.parts > 1:
            return 2 * len(self.finished(out)) >= self.parts
        return seconds >= undisturbed / 2


def second_run(contender: Contender, photos: Path, out: Path, undisturbed: float) -> Figure:
    """Kill it at half time, run it again, and compare the files before and after."""
    begin = time.perf_counter()
    run = contender.start(photos, out)
    while run.poll() is None and not contender.is_half_done(out, time.perf_counter() - begin, undisturbed):
        time.sleep(0.005)
    os.killpg(run.pid, signal.SIGKILL)
    run.wait()
    left = contender.finished(out)
    again = contender.seconds(photos, out)
    after = contender.finished(out)
    kept = sum(after.get(name) == state for name, state in left.items())
    note = f"{len(left)} of {contender.parts} files left by the kill, {kept} of them kept by the second run"
    return Figure(f"{contender.name}: second run", again, again / undisturbed, note=note)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", required=True, help="Python of the environment with clip-retrieval")
    parser.add_argument("--images", type=int, default=1_000)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--workers", type=int, default=2, help="decoding processes")
    options = parser.parse_args()
    batch, workers = str(options.batch_size), str(options.workers)
    parts = -(-options.images // PART)
    script = Path(__file__).with_name("clip_retrieval_run.py")

    def ours(photos: Path, out: Path) -> list[str]:
        words = ["extract", photos, out, "--model", "ViT-B-32-quickgelu", "--weights", "random", "--preprocess", "clip"]
        words += ["--shard-rows", PART, "--batch-size", batch, "--workers", workers]
        return [sys.executable, "-m", "expclip_cache.commands.app", *map(str, words)]

    def peer(partitions: int) -> Callable[[Path, Path], list[str]]:
        return lambda photos, out: [options.peer, *map(str, (script, photos, out, batch, workers, partitions))]

    contenders = [
        Contender("expclip-cache", ours, "shard-*.h5", parts),
        Contender("clip-retrieval, one partition (its default)", peer(1), "img_emb/*.npy", 1),
        Contender(f"clip-retrieval, partitions of {PART}", peer(parts), "img_emb/*.npy", parts),
    ]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for photos, count in (("all", options.images), ("few", options.batch_size)):
            (folder / photos).mkdir()
            write_photos(folder / photos, count, 250)
        whole, rates, second_runs = [], [], []
        for number, contender in enumerate(contenders):
            # The rate of several partitions is not compared.
            few = contender.seconds(folder / "few", folder / f"few-{number}") if number < 2 else 0.0
            whole.append(contender.seconds(folder / "all", folder / f"all-{number}"))
            if few >= whole[-1]:
                raise SystemExit(
                    f"{contender.name}: {few:.0f} s for one batch, {whole[-1]:.0f} s for all photos: "
                    "the machine is too busy to measure"
                )
            rates.append((options.images - options.batch_size) / (whole[-1] - few))
            second_runs.append(second_run(contender, folder / "all", folder / f"killed-{number}", whole[-1]))
    our_rate, peer_rate, _ = rates
    show(
        f"{options.images:,} JPEGs of 250 x 250, ViT-B/32 with random weights, CPU, batch {batch}, {workers} workers",
        [
            Figure("clip-retrieval", whole[1], note=f"{peer_rate:.1f} images/s after start-up"),
            Figure(
                "expclip-cache", whole[0], our_rate / peer_rate, ">= 1.5", f"{our_rate:.1f} images/s, ratio of rates"
            ),
        ],
    )
    figures = []
    for contender, seconds, figure in zip(contenders, whole, second_runs, strict=True):
        figures += [Figure(f"{contender.name}: undisturbed", seconds), figure]
    show("Killed at 50 % and run again (ratio: second run to an undisturbed one)", figures)


if __name__ == "__main__":
    main()
