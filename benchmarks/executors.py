"""What does handing out shards cost, and do more workers do more? python -m benchmarks.executors [--executor ray].

The encoder is simulated by a sleep, so that more workers than cores can be measured; decoding, writing and hashing are
left out too. What remains is the executor. Startup is measured separately, as the time until every worker has finished
its first shard.
"""

import argparse
import os
import time
from collections import Counter
from dataclasses import dataclass
from functools import partial
from typing import Literal

from benchmarks.measure import Figure, show
from expclip_cache.base import SilentReporter
from expclip_cache.workers import RunSettings, Worker, execute, import_ray

BATCHES = 16
"""Progress reports per shard: 4,096 rows in batches of 256."""


@dataclass(frozen=True)
class Record:
    """The result of a shard: as large as an entry of the index, and who finished it when."""

    finished_at: float
    process: int
    entry: str = "x" * 1600


@dataclass(frozen=True)
class Sleep:
    """A worker function that sleeps `seconds` for each shard."""

    seconds: float
    threads: int = 1

    def __call__(self, worker: Worker, device: str) -> None:
        """Take the next shard before the last one is finished, as decoding ahead does."""
        worker.ready(device)
        while (shard := worker.take(idle=True)) is not None:
            while shard is not None:
                following = worker.take(idle=False)
                for _ in range(BATCHES):
                    time.sleep(self.seconds / BATCHES)
                    worker.advance(shard, 256)
                worker.finished(shard, Record(time.time(), os.getpid()))
                shard = following


class Recorder:
    """A listener that collects the records."""

    def __init__(self):
        self.records: list[Record] = []
        self.say = SilentReporter().say

    def ready(self, where: str) -> None:
        """Not recorded."""

    def finished(self, shard: int, record: Record) -> None:
        """Record when a shard was finished, and by which worker."""
        self.records.append(record)

    def lost(self, shard: int) -> None:
        """No worker is expected to die."""
        raise RuntimeError(f"the worker of {self.name(shard)} died")

    def advance(self, shard: int, steps: int) -> None:
        """Not recorded."""

    def name(self, shard: int) -> str:
        """For error messages."""
        return f"shard {shard}"


def measure(executor: Literal["local", "ray"], workers: int, seconds: float, shards: int) -> tuple[float, float]:
    """Shards per second while all workers are busy, and the seconds until all were."""
    run, recorder = RunSettings(executor=executor, device="cpu", processes=workers), Recorder()
    start = time.time()
    execute(Sleep(seconds), range(shards), run, partial(list, ["cpu"] * workers), recorder)
    first: dict[int, float] = {}
    last: dict[int, float] = {}
    for record in recorder.records:
        first[record.process] = min(record.finished_at, first.get(record.process, record.finished_at))
        last[record.process] = max(record.finished_at, last.get(record.process, 0))
    if len(first) < workers:
        raise SystemExit(f"only {len(first)} of {workers} {executor} workers got a shard; use more --shards")
    count = Counter(record.process for record in recorder.records)
    # Between its first shard and its last one a worker does nothing else; before and after that it may.
    rate = sum((count[process] - 1) / (last[process] - first[process]) for process in first)
    return rate, max(first.values()) - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--executor", choices=["local", "ray"], nargs="*", default=["local", "ray"])
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 2, 4, 8])
    parser.add_argument("--seconds", type=float, default=0.5, help="duration of a simulated shard")
    parser.add_argument("--shards", type=int, default=40, help="shards per worker")
    options = parser.parse_args()
    for executor in options.executor:
        if executor == "ray":
            import_ray().init(
                num_cpus=max(options.workers), include_dashboard=False, log_to_driver=False, logging_level="ERROR"
            )
        figures = []
        for workers in options.workers:
            rate, start = measure(executor, workers, options.seconds, options.shards * workers)
            ideal = workers / options.seconds
            overhead = workers / rate - options.seconds
            figures.append(
                Figure(
                    f"{workers} workers: overhead of a shard that takes {options.seconds:g} s",
                    overhead,
                    rate / ideal,
                    ">= 0.95 of linear, < 0.02 s a shard",
                    f"{rate:.2f} shards/s; all workers busy {start:.1f} s after the start",
                )
            )
        show(f"Scheduling by executor {executor}, encoders simulated by sleeps, {os.cpu_count()} cores", figures)


if __name__ == "__main__":
    main()
