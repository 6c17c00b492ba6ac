"""The client's view of the workers: a bar for each dataset in turn, finished shards, and datasets that failed."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from threading import RLock
from types import TracebackType
from typing import Self

from typing_extensions import override

from expclip_cache.base import Bar, ExpclipError, Reporter
from expclip_cache.cache import ShardEntry, shard_name
from expclip_cache.extraction.job_run import JobRun
from expclip_cache.extraction.tasks import ShardTask
from expclip_cache.workers import Listener


class NothingLeftError(Exception):
    """All datasets that still have shards to make have failed."""


class Progress(Listener):
    """Records finished shards and finishes each cache with its last one.

    A worker that is this process reports finished shards from the thread that writes them.
    """

    def __init__(self, runs: Sequence[JobRun], tasks: Sequence[ShardTask], report: Reporter):
        """Nothing is shown before the first worker is ready.

        Args:
            tasks: by number; their datasets are places in `runs`.
        """
        self._runs, self._tasks, self._report = runs, tasks, report
        self._left: list[set[int]] = [set() for _ in runs]
        for each in tasks:
            self._left[each.dataset].add(each.task)
        self._advanced: Counter[int] = Counter()
        self._where = ""
        self._shown = -1
        self._bar: Bar | None = None
        self._open = ExitStack()
        self._lock = RLock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.__exit__(kind, error, trace)

    @override
    def ready(self, where: str, /) -> None:
        with self._lock:
            self._where = where
            self._show_next_bar()

    @override
    def advance(self, task: int, steps: int, /) -> None:
        with self._lock:
            self._advanced[task] += steps
            self._advance_bar(task, steps)

    @override
    def finished(self, task: int, record: ShardEntry | ExpclipError, /) -> None:
        """Record a shard, or why its dataset cannot be encoded.

        Raises:
            NothingLeftError: this was the last dataset that could be encoded, and others have shards left.
        """
        place = self._tasks[task].dataset
        run, left = self._runs[place], self._left[place]
        with self._lock:
            left.discard(task)
            others = any(self._left[other] and not self._runs[other].failure for other in self._places(but=place))
            if isinstance(record, ExpclipError):
                run.fail(record, others=others)
            else:
                run.writer.record(record)
                if not left and run.can_go_on:
                    run.finish(others=others)
            if not left and place == self._shown:
                self._show_next_bar()
            if not others and any(self._left) and (run.failure or not left):
                raise NothingLeftError

    @override
    def lost(self, task: int, /) -> None:
        shard = self._tasks[task]
        with self._lock:
            self._advance_bar(task, -self._advanced.pop(task, 0))
        self._runs[shard.dataset].writer.store.remove_temporaries([shard_name(shard.number)])

    @override
    def say(self, line: str, /) -> None:
        self._report.say(line)

    @override
    def name(self, task: int, /) -> str:
        shard = self._tasks[task]
        return f"{self._runs[shard.dataset].job.out}: {shard_name(shard.number)}"

    def _places(self, but: int) -> Iterator[int]:
        return (place for place in range(len(self._runs)) if place != but)

    def _advance_bar(self, task: int, steps: int) -> None:
        if self._bar and self._tasks[task].dataset == self._shown:
            self._bar.advance(steps)

    def _show_next_bar(self) -> None:
        """Close the bar of a dataset that is done, and show that of the next; other workers may have begun it."""
        if self._shown >= 0:
            failure = self._runs[self._shown].failure
            trace = failure.__traceback__ if failure else None
            self._open.__exit__(type(failure) if failure else None, failure, trace)
            self._bar = None
        place = next((place for place, tasks in enumerate(self._left) if tasks), None)
        if place is None:
            return
        run, self._shown = self._runs[place], place
        total = sum(len(run.plan[number]) for number in run.decision.encode)
        unit = "clip" if run.job.manifest.frames > 1 else "image"
        self._bar = self._open.enter_context(self._report.bar(f"{run.job.out} on {self._where}", total, unit))
        self._bar.advance(sum(steps for task, steps in self._advanced.items() if self._tasks[task].dataset == place))
