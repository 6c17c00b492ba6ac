"""What does a kill at half time cost, compared with an undisturbed extraction? python -m benchmarks.resume."""

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

SHARD_ROWS = 8
"""A kill loses at most two shards, one being written and one being filled: 1.6 % of the default number of photos."""


class Extractions:
    """Runs of `expclip-cache extract` on folders of photos, each into an output folder of its own."""

    def __init__(self, folder: Path, model: str):
        self._folder, self._model = folder, model

    def start(self, photos: str, out: str) -> subprocess.Popen:
        """Start a run, without output and in a process group of its own."""
        command = ["-m", "expclip_cache.commands.app", "extract", str(self._folder / photos), str(self._folder / out)]
        command += ["--model", self._model, "--weights", "random"]
        command += ["--shard-rows", str(SHARD_ROWS), "--batch-size", str(SHARD_ROWS)]
        return subprocess.Popen([sys.executable, *command], stderr=subprocess.DEVNULL, start_new_session=True)

    def seconds(self, photos: str, out: str) -> float:
        """Wall time of a complete run.

        Raises:
            SystemExit: it failed.
        """
        begin = time.perf_counter()
        if self.start(photos, out).wait():
            raise SystemExit(f"the run into {out} failed")
        return time.perf_counter() - begin

    def seconds_until_killed(self, photos: str, out: str, after: float) -> float:
        """Wall time of a run that is killed `after` seconds.

        Raises:
            SystemExit: it ended earlier.
        """
        begin = time.perf_counter()
        run = self.start(photos, out)
        time.sleep(after)
        if run.poll() is not None:
            raise SystemExit(f"the run into {out} ended before it could be killed; use more --images")
        os.killpg(run.pid, signal.SIGKILL)
        run.wait()
        return time.perf_counter() - begin

    def shards(self, out: str) -> dict[str, int]:
        """The finished shards: name -> modification time."""
        return {path.name: path.stat().st_mtime_ns for path in (self._folder / out).glob("shard-*.h5")}

    def same(self, first: str, second: str) -> bool:
        """Whether two output folders have the same shards, byte for byte."""
        names = set(self.shards(first))
        return names == set(self.shards(second)) and all(
            (self._folder / first / name).read_bytes() == (self._folder / second / name).read_bytes() for name in names
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="ViT-B-32-quickgelu")
    parser.add_argument("--images", type=int, default=1_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        runs = Extractions(Path(name), options.model)
        for photos, count in ("photos", options.images), ("one", 1):
            (Path(name) / photos).mkdir()
            write_photos(Path(name) / photos, count, 250)
        # What every run costs before its second photo. The very first run also brings files into memory.
        runs.seconds("one", "first")
        start_up = runs.seconds("one", "start-up")
        undisturbed = runs.seconds("photos", "whole")
        killed = runs.seconds_until_killed("photos", "killed", start_up + (undisturbed - start_up) / 2)
        before = runs.shards("killed")
        resumed = runs.seconds("photos", "killed")
        after = runs.shards("killed")
        redone = sum(after[shard] != changed for shard, changed in before.items())
        same = runs.same("whole", "killed")
    both, rows = killed + resumed, options.images + 2 * SHARD_ROWS
    work = both - 2 * start_up
    show(
        f"A kill at 50 % of {options.images:,} images in shards of {SHARD_ROWS}, {options.model} on the CPU",
        [
            Figure("start-up: a run over one photo", start_up),
            Figure("undisturbed run, from the start to the finished cache", undisturbed),
            Figure("killed run and resumed run together", both, both / undisturbed, note="two start-ups"),
            Figure("the same without start-up", work, work / (undisturbed - start_up), "<= 1.02"),
            Figure(
                "rows encoded, at most",
                None,
                rows / options.images,
                "<= 1.02",
                f"{rows:,}: one shard being written, one being filled",
            ),
            Figure("finished shards encoded again", None, wanted="0", note=f"{redone} of {len(before)}"),
            Figure("same bytes as the undisturbed run", None, wanted="yes", note="yes" if same else "NO"),
        ],
    )


if __name__ == "__main__":
    main()
