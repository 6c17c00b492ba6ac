"""What does a kill half way cost against an undisturbed extraction? python -m benchmarks.resume."""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.extraction import write_photos
from benchmarks.measure import Figure, show

SHARD = 8
"""Rows. A kill costs at most two shards, one being written and one being filled: 1.6 % of the default photos."""


class Extractions:
    """Runs of `expclip-cache extract` over the same photos, each into a folder of its own."""

    def __init__(self, folder: Path, model: str):
        self._folder, self._model = folder, model

    def start(self, photos: str, out: str) -> subprocess.Popen:
        """Begin one, silently and in a process group of its own."""
        command = ["-m", "expclip_cache.commands.app", "extract", str(self._folder / photos), str(self._folder / out)]
        command += ["--model", self._model, "--weights", "random"]
        command += ["--shard-rows", str(SHARD), "--batch-size", str(SHARD)]
        return subprocess.Popen([sys.executable, *command], stderr=subprocess.DEVNULL, start_new_session=True)

    def seconds(self, photos: str, out: str) -> float:
        """Wall time of a whole run."""
        begin = time.perf_counter()
        if self.start(photos, out).wait():
            raise SystemExit(f"the run into {out} failed")
        return time.perf_counter() - begin

    def seconds_until_killed(self, photos: str, out: str, after: float) -> float:
        """Wall time of a run that is killed after so many seconds."""
        begin = time.perf_counter()
        run = self.start(photos, out)
        time.sleep(after)
        if run.poll() is not None:
            raise SystemExit(f"the run into {out} was over before it was killed")
        os.killpg(run.pid, signal.SIGKILL)
        run.wait()
        return time.perf_counter() - begin

    def shards(self, out: str) -> dict[str, int]:
        """Finished shards: name -> time of change."""
        return {path.name: path.stat().st_mtime_ns for path in (self._folder / out).glob("shard-*.h5")}

    def same(self, first: str, second: str) -> bool:
        """Whether two folders hold the same shards, byte for byte."""
        names = set(self.shards(first))
        return names == set(self.shards(second)) and all(
            (self._folder / first / n).read_bytes() == (self._folder / second / n).read_bytes() for n in names
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="ViT-B-32-quickgelu")
    parser.add_argument("--images", type=int, default=1_000)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        runs = Extractions(Path(name), asked.model)
        for photos, count in ("photos", asked.images), ("one", 1):
            (Path(name) / photos).mkdir()
            write_photos(Path(name) / photos, count, 250)
        # What every run costs before its second photo; the first start of all also brings files into memory.
        runs.seconds("one", "first")
        begin = runs.seconds("one", "begin")
        undisturbed = runs.seconds("photos", "whole")
        first = runs.seconds_until_killed("photos", "killed", begin + (undisturbed - begin) / 2)
        before = runs.shards("killed")
        second = runs.seconds("photos", "killed")
        after = runs.shards("killed")
        redone = sum(1 for shard, changed in before.items() if after[shard] != changed)
        same = runs.same("whole", "killed")
    both, rows = first + second, asked.images + 2 * SHARD
    show(
        f"A kill at 50 % of {asked.images:,} images in shards of {SHARD}, {asked.model} on the CPU",
        [
            Figure("a start: the run over a single photo", begin),
            Figure("undisturbed, start to finished cache", undisturbed),
            Figure("killed run and resumed run together", both, both / undisturbed, "", "two starts"),
            Figure(
                "the same without starts",
                both - 2 * begin,
                (both - 2 * begin) / (undisturbed - begin),
                "<= 1.02",
                "the two starts taken off",
            ),
            Figure(
                "rows encoded, at most",
                None,
                rows / asked.images,
                "<= 1.02",
                f"{rows:,}: a shard being written, one being filled",
            ),
            Figure("finished shards encoded again", None, None, "0", f"{redone} of {len(before)}"),
            Figure("same bytes as undisturbed", None, None, "yes", "yes" if same else "NO"),
        ],
    )


if __name__ == "__main__":
    main()
