"""The same photos and the same random ViT-B/32 through clip-retrieval's inference: rate, and what a kill leaves.

Needs an environment of its own for the peer, whose requirements are older than ours:

    uv venv --python 3.11 peer
    uv pip install --python peer/bin/python "clip-retrieval==2.45.0" "setuptools<70"
    python -m benchmarks.peer_clip_retrieval --peer peer/bin/python

Both get the same batch size and number of workers, CLIP's own preprocessing, and float32. Rates are those between a
run over one batch and a run over all photos, so that starting and loading cost neither anything.
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
"""Photos in one of our shards, and in one of the peer's partitions where it gets several."""


@dataclass(frozen=True)
class Contender:
    """One of the two programs.

    Attributes:
        command: (folder of photos, output folder) -> the command line.
        files: how its finished feature files are called.
        parts: feature files it writes.
    """

    name: str
    command: Callable[[Path, Path], list[str]]
    files: str
    parts: int

    def start(self, photos: Path, out: Path) -> subprocess.Popen:
        """Run it, silently and in a process group of its own."""
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        return subprocess.Popen(self.command(photos, out), start_new_session=True, **quiet)

    def seconds(self, photos: Path, out: Path) -> float:
        """Wall time of a whole run."""
        begin = time.perf_counter()
        if self.start(photos, out).wait():
            raise SystemExit(f"{self.name} failed; run it by hand: {' '.join(self.command(photos, out))}")
        return time.perf_counter() - begin

    def made(self, out: Path) -> dict[str, tuple[int, int]]:
        """Its feature files: name -> (inode, time of change)."""
        found = {path: path.stat() for path in sorted(out.glob(self.files))}
        return {path.name: (status.st_ino, status.st_mtime_ns) for path, status in found.items()}


def after_a_kill(contender: Contender, photos: Path, out: Path, undisturbed: float) -> Figure:
    """Kill it half way, look, run it again, look again."""
    begin = time.perf_counter()
    run = contender.start(photos, out)
    while run.poll() is None:
        passed = time.perf_counter() - begin
        if 2 * len(contender.made(out)) >= contender.parts if contender.parts > 1 else passed >= undisturbed / 2:
            break
        time.sleep(0.005)
    os.killpg(run.pid, signal.SIGKILL)
    run.wait()
    left, begin = contender.made(out), time.perf_counter()
    again = contender.seconds(photos, out)
    after = contender.made(out)
    kept = sum(1 for name, state in left.items() if after.get(name) == state)
    note = f"{len(left)} of {contender.parts} files left by the kill, {kept} of them kept by the second run"
    return Figure(f"{contender.name}: second run", again, again / undisturbed, "", note)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", required=True, help="Python of the environment with clip-retrieval")
    parser.add_argument("--images", type=int, default=1_000)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--workers", type=int, default=2)
    asked = parser.parse_args()
    batch, workers = str(asked.batch_size), str(asked.workers)
    parts = -(-asked.images // PART)
    script = Path(__file__).with_name("clip_retrieval_run.py")

    def ours(photos: Path, out: Path) -> list[str]:
        words = ["extract", photos, out, "--model", "ViT-B-32-quickgelu", "--weights", "random", "--preprocess", "clip"]
        words += ["--shard-rows", PART, "--batch-size", batch, "--workers", workers]
        return [sys.executable, "-m", "expclip_cache.commands.app", *map(str, words)]

    def peer(partitions: int) -> Callable[[Path, Path], list[str]]:
        return lambda photos, out: [asked.peer, *map(str, (script, photos, out, batch, workers, partitions))]

    contenders = [
        Contender("expclip-cache", ours, "shard-*.h5", parts),
        Contender("clip-retrieval, one partition (its default)", peer(1), "img_emb/*.npy", 1),
        Contender(f"clip-retrieval, partitions of {PART}", peer(parts), "img_emb/*.npy", parts),
    ]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part, count in (("all", asked.images), ("few", asked.batch_size)):
            (folder / part).mkdir()
            write_photos(folder / part, count, 250)
        rates, kills = [], []
        for number, contender in enumerate(contenders):
            few = (
                contender.seconds(folder / "few", folder / f"{number}-few") if contender.parts < 2 or not number else 0
            )
            whole = contender.seconds(folder / "all", folder / f"{number}-all")
            if few >= whole:
                raise SystemExit(
                    f"{contender.name}: {few:.0f} s for one batch, {whole:.0f} s for all: too busy a machine"
                )
            rates.append((asked.images - asked.batch_size) / (whole - few) if few else None)
            kills.append((whole, after_a_kill(contender, folder / "all", folder / f"{number}-killed", whole)))
    our_rate, peer_rate = rates[0], rates[1]
    machine = f"batch {batch}, {workers} workers"
    show(
        f"{asked.images:,} JPEGs of 250 x 250, ViT-B/32 with random weights, CPU, {machine}",
        [
            Figure("clip-retrieval", kills[1][0], None, "", f"{peer_rate:.1f} images/s once started"),
            Figure(
                "expclip-cache", kills[0][0], our_rate / peer_rate, ">= 1.5", f"{our_rate:.1f} images/s, ratio of rates"
            ),
        ],
    )
    figures = []
    for contender, (whole, kill) in zip(contenders, kills, strict=True):
        figures += [Figure(f"{contender.name}: undisturbed", whole), kill]
    show("Killed at 50 % and run again (ratio: second run to an undisturbed one)", figures)


if __name__ == "__main__":
    main()
