"""The pass that sums moments, by as many workers as there are, where the shards are: only (d, d) and (d, t) travel."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from expclip_cache.base import Bar, Reporter
from expclip_cache.cache import FeatureCache, Store
from expclip_cache.heads.ridge.moments import Moments
from expclip_cache.heads.ridge.moments_cache import sum_moments
from expclip_cache.workers import RunSettings, Worker, execute

GROUPS = 4
"""Groups of shards for each worker: every group is one sum to hand back, and what a lost worker has to do again."""

ANY = 8
"""Workers to expect of a cluster, where their number is not said."""


@dataclass(frozen=True)
class MomentsWork:
    """What each worker does: sum the moments of whole groups of shards.

    Attributes:
        groups: numbers of the shards of each group.
        threads: of the CPU. A product's last bits may depend on it.
    """

    images: Store
    targets: Store
    held_out: float
    groups: tuple[tuple[int, ...], ...]
    threads: int

    def __call__(self, worker: Worker, device: str) -> None:
        """Work as one worker."""
        images, targets = FeatureCache(self.images), FeatureCache(self.targets)
        worker.ready(device)
        while (group := worker.take(fresh=True)) is not None:
            advance = partial(worker.advance, group)
            worker.finished(group, sum_moments(images, targets, self.held_out, self.groups[group], advance))


def sum_on_workers(
    images: FeatureCache,
    targets: FeatureCache,
    held_out: float,
    shards: Sequence[int],
    run: RunSettings,
    report: Reporter,
) -> Moments:
    """The moments of some shards: see `sum_moments`; merging is exact, so any number of workers gives the same sums.

    Args:
        run: executor and processes; the sums are made on CPUs.
    """
    local = run.executor == "local"
    workers = (1 if local else ANY) if run.processes == "auto" else run.processes
    count = 1 if local and workers == 1 else min(len(shards), GROUPS * workers)
    groups = tuple(tuple(shards[k * len(shards) // count : (k + 1) * len(shards) // count]) for k in range(count))
    threads = int(os.environ.get("OMP_NUM_THREADS") or len(os.sched_getaffinity(0)))
    work = MomentsWork(images.store, targets.store, held_out, groups, threads)
    moments = Moments(images.width, targets.width)
    rows = min(len(images), len(shards) * images.shard_rows)
    with report.bar("moments", rows, "face") as bar:
        merging = _Merging(moments, bar, report)
        execute(work, range(count), run.model_copy(update={"device": "cpu"}), lambda: ["cpu"] * workers, merging)
    return moments


class _Merging:
    """The driver's view: sums are merged as they come."""

    def __init__(self, moments: Moments, bar: Bar, report: Reporter):
        self._moments, self._bar = moments, bar
        self._under_way: dict[int, int] = {}
        self._merged: set[int] = set()
        self.say = report.say

    def ready(self, where: str) -> None:
        """The bar says enough."""

    def advance(self, number: int, steps: int) -> None:
        self._bar.advance(steps)
        self._under_way[number] = self._under_way.get(number, 0) + steps

    def finished(self, number: int, record: Moments) -> None:
        if number not in self._merged:
            self._merged.add(number)
            self._moments.merge(record)

    def lost(self, number: int) -> None:
        self._bar.advance(-self._under_way.pop(number, 0))

    def name(self, number: int) -> str:
        return f"the moments of group {number} of the shards"
