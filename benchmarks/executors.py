"""What does handing out shards cost, and do more workers do more? python -m benchmarks.executors [--executor ray].

The encoder is simulated by a sleep, so that more workers than this machine has cores can be seen; decoding, writing
and hashing are left out as well. What remains is the executor: starting is measured apart, as the time to the first
worker that is ready.
"""

import argparse
import os
import time
from collections import Counter
from dataclasses import dataclass
from functools import partial

from benchmarks.measure import Figure, show
from expclip_cache.base import SilentReporter
from expclip_cache.workers import RunSettings, execute, import_ray

BATCHES = 16
"""Progress is reported so often in a shard: 4,096 rows in batches of 256."""


@dataclass(frozen=True)
class Sleep:
    """Work that sleeps so long for each shard, and hands back what an entry of the index weighs."""

    seconds: float
    threads: int = 1

    def __call__(self, worker, device: str) -> None:
        """Take the next before the last is finished, as decoding ahead does."""
        worker.ready(device)
        entry = {"name": "shard-00000.h5", "rows": 4096, "xxh3_128": "0" * 32, "settings": "x" * 1500}
        while (number := worker.take(fresh=True)) is not None:
            while number is not None:
                following = worker.take(fresh=False)
                for _ in range(BATCHES):
                    time.sleep(self.seconds / BATCHES)
                    worker.advance(number, 256)
                worker.finished(number, entry | {"number": number, "at": time.time(), "by": f"{os.getpid()}"})
                number = following


class Times:
    """A listener that keeps when each shard was finished, and by whom."""

    def __init__(self):
        self.records: list[dict] = []
        self.say = SilentReporter().say

    def ready(self, where: str) -> None:
        """Nothing to note."""

    def finished(self, number: int, record: dict) -> None:
        """Keep what came back."""
        self.records.append(record)

    def lost(self, number: int) -> None:
        """Never expected."""
        raise RuntimeError("no worker should be lost here")

    def advance(self, number: int, steps: int) -> None:
        """Nothing to note."""

    def name(self, number: int) -> str:
        """For errors."""
        return f"shard {number}"


def rate(executor: str, workers: int, seconds: float, shards: int) -> tuple[float, float]:
    """Shards per second while all workers are at work, and the seconds until they were."""
    run, times = RunSettings(executor=executor, device="cpu", processes=workers), Times()
    start = time.time()
    execute(Sleep(seconds), range(shards), run, partial(list, ["cpu"] * workers), times)
    first: dict[str, float] = {}
    last: dict[str, float] = {}
    for record in times.records:
        first[record["by"]] = min(record["at"], first.get(record["by"], record["at"]))
        last[record["by"]] = max(record["at"], last.get(record["by"], 0))
    if len(first) < workers:
        raise SystemExit(f"only {len(first)} of {workers} {executor} workers came into play; use more --shards")
    count = Counter(record["by"] for record in times.records)
    # From its first shard to its last a worker does nothing but shards; before and after it is not on its own.
    found = sum((count[by] - 1) / (last[by] - first[by]) for by in first)
    return found, max(first.values()) - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--executor", choices=["local", "ray"], nargs="*", default=["local", "ray"])
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 2, 4, 8])
    parser.add_argument("--seconds", type=float, default=0.5, help="that a simulated shard takes")
    parser.add_argument("--shards", type=int, default=40, help="for each worker")
    asked = parser.parse_args()
    for executor in asked.executor:
        if executor == "ray":
            import_ray().init(
                num_cpus=max(asked.workers), include_dashboard=False, log_to_driver=False, logging_level="ERROR"
            )
        figures = []
        for workers in asked.workers:
            found, start = rate(executor, workers, asked.seconds, asked.shards * workers)
            ideal = workers / asked.seconds
            overhead = workers / found - asked.seconds
            figures.append(
                Figure(
                    f"{workers} workers: a shard takes {asked.seconds:g} s, and in addition",
                    overhead,
                    found / ideal,
                    ">= 0.95 of linear, < 0.02 s a shard",
                    f"{found:.2f} shards/s; all at work {start:.1f} s after the start",
                )
            )
        show(f"Scheduling by executor {executor}, encoders simulated by sleeps, {os.cpu_count()} cores", figures)


if __name__ == "__main__":
    main()
