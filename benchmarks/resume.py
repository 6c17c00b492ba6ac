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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="ViT-B-32-quickgelu")
    parser.add_argument("--images", type=int, default=1_000)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "photos").mkdir()
        write_photos(folder / "photos", asked.images, 250)

        def start(out: str) -> subprocess.Popen:
            command = ["-m", "pipeline.cli", "extract", str(folder / "photos"), str(folder / out)]
            command += ["--model", asked.model, "--weights", "random", "--shard-rows", "64", "--batch-size", "64"]
            return subprocess.Popen([sys.executable, *command], stderr=subprocess.DEVNULL, start_new_session=True)

        def shards(out: str) -> dict[str, int]:
            return {path.name: path.stat().st_mtime_ns for path in (folder / out).glob("shard-*.h5")}

        begin = time.perf_counter()
        if start("whole").wait():
            raise SystemExit("the undisturbed run failed")
        undisturbed = time.perf_counter() - begin
        half = len(shards("whole")) // 2
        begin = time.perf_counter()
        run = start("killed")
        while len(shards("killed")) < half:
            time.sleep(0.002)
        os.killpg(run.pid, signal.SIGKILL)
        run.wait()
        before, first = shards("killed"), time.perf_counter() - begin
        begin = time.perf_counter()
        if start("killed").wait():
            raise SystemExit("the resumed run failed")
        second = time.perf_counter() - begin
        after = shards("killed")
        redone = sum(1 for shard, changed in before.items() if after[shard] != changed)
        rows = asked.images + 64  # at most the shard in flight is encoded twice
        same = all((folder / "whole" / n).read_bytes() == (folder / "killed" / n).read_bytes() for n in after)
    show(
        f"A kill at 50 % of {asked.images:,} images, {asked.model} on the CPU",
        [
            Figure("undisturbed, start to finished cache", undisturbed),
            Figure(
                "killed run and resumed run together", first + second, (first + second) / undisturbed, "", "two starts"
            ),
            Figure("finished shards encoded again", None, None, "0", f"{redone} of {len(before)}"),
            Figure("rows encoded, at most", None, rows / asked.images, "", f"{rows:,}: one shard of 64 in flight"),
            Figure("same bytes as undisturbed", None, None, "yes", "yes" if same else "NO"),
        ],
    )


if __name__ == "__main__":
    main()
