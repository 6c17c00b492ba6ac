"""Sum moments over all groups of shards: workers sum whole groups, where the shards are; the caller adds them up."""

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from typing_extensions import override

from expclip_cache.base import Bar, Reporter
from expclip_cache.heads.ridge.moments import Moments
from expclip_cache.heads.ridge.moments_file import read_moments, write_moments
from expclip_cache.heads.ridge.shard_groups import ShardGroups
from expclip_cache.workers import Listener, RunSettings, Worker, execute

MAX_WAITING = 16
"""Groups that wait in memory until those before them are finished. More of them wait on disk."""


def sum_all_groups(
    groups: ShardGroups, run: RunSettings, report: Reporter, stored: Mapping[int, Path] | None = None
) -> Moments:
    """The moments of all groups, added in the order of the groups.

    Any number of workers, and any groups that were summed before, give the same bits. A group that is finished early
    waits for its turn. While the workers keep pace with one another, about one group per worker waits; however slow one
    of them is, at most `MAX_WAITING` wait in memory, and the others in a temporary folder.

    Args:
        run: executor and number of processes. Sums are made on CPUs, by default in this process.
        stored: files of groups that were summed before; each is read when its turn comes.

    Raises:
        CacheError: a shard or a stored file is missing or damaged.
        LostWorkerError: workers died repeatedly over the same group.
    """
    stored = stored or {}
    missing = [group for group in range(len(groups)) if group not in stored]
    with tempfile.TemporaryDirectory(prefix="moments-") as folder:
        total = _TotalInOrder(groups, stored, report, Path(folder))
        if missing:
            function = SumGroups(groups, int(os.environ.get("OMP_NUM_THREADS") or len(os.sched_getaffinity(0))))
            processes = 1 if run.processes == "auto" else run.processes
            rows = sum(groups.rows(group) for group in missing)
            with report.bar("moments", rows, "image") as total.bar:
                execute(function, missing, run.model_copy(update={"device": "cpu"}), lambda: ["cpu"] * processes, total)
        return total.complete()


@dataclass(frozen=True)
class SumGroups:
    """What each worker runs: a task is a group, its result the group's `Moments`.

    Attributes:
        threads: CPU threads of a worker. The last bits of a product may depend on it.
        modules: see `WorkerFunction`.
    """

    groups: ShardGroups
    threads: int
    modules: tuple[str, ...] = (__name__,)

    def __call__(self, worker: Worker, device: str, /) -> None:
        """Sum groups until none is left."""
        worker.ready(device)
        while (group := worker.take(idle=True)) is not None:
            worker.finished(group, self.groups.sum(group, partial(worker.advance, group)))


class _TotalInOrder(Listener):
    """Adds finished groups to the total, each when all groups before it have been added."""

    bar: Bar

    def __init__(self, groups: ShardGroups, stored: Mapping[int, Path], report: Reporter, folder: Path):
        self._groups, self._stored, self._report, self._folder = groups, dict(stored), report, folder
        self._total = Moments(groups.images.layout.width, groups.targets.width)
        self._added = 0
        self._waiting: dict[int, Moments] = {}
        self._advanced: dict[int, int] = {}

    def complete(self) -> Moments:
        """The total, once every group is finished or stored."""
        self._add_next_groups()
        assert self._added == len(self._groups)
        return self._total

    @override
    def finished(self, task: int, record: Any, /) -> None:
        if task >= self._added:
            self._waiting[task] = record
            self._add_next_groups()
            if len(self._waiting) > MAX_WAITING:
                last = max(self._waiting)
                path = self._folder / f"{last}.safetensors"
                write_moments(path, self._waiting.pop(last), range(last, last + 1), self._groups.fingerprint)
                self._stored[last] = path

    @override
    def advance(self, task: int, steps: int, /) -> None:
        self.bar.advance(steps)
        self._advanced[task] = self._advanced.get(task, 0) + steps

    @override
    def lost(self, task: int, /) -> None:
        self.bar.advance(-self._advanced.pop(task, 0))

    @override
    def name(self, task: int, /) -> str:
        shards = self._groups.shards(task)
        return f"the moments of shards {shards.start} to {shards.stop - 1}"

    @override
    def ready(self, where: str, /) -> None:
        pass

    @override
    def say(self, line: str, /) -> None:
        self._report.say(line)

    def _add_next_groups(self) -> None:
        while True:
            if self._added in self._waiting:
                self._total.add(self._waiting.pop(self._added))
            elif self._added in self._stored:
                self._total.add(read_moments(self._stored[self._added], self._groups.fingerprint)[0])
            else:
                return
            self._added += 1
