"""The tasks of an extraction: missing shards of any of its datasets, and which of them a worker holds."""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from expclip_cache.base import ExpclipError
from expclip_cache.workers import Worker


@dataclass(frozen=True)
class ShardTask:
    """One missing shard.

    Attributes:
        task: number of the task.
        dataset: place of the dataset among those of the run.
        number: of the shard in its cache.
        rows: of the dataset's manifest.
    """

    task: int
    dataset: int
    number: int
    rows: range


class WorkerTasks:
    """The tasks that one worker takes, ahead of the encoder.

    If a dataset fails, the worker's tasks of this dataset get the error as their result, and those of other datasets
    that were taken ahead are begun again.
    """

    def __init__(self, worker: Worker, tasks: Sequence[ShardTask]):
        """Nothing is taken yet.

        Args:
            tasks: all of the run, by number.
        """
        self._worker, self._tasks = worker, tasks
        self._held: deque[int] = deque()
        self._again: deque[int] = deque()
        self._failed: dict[int, ExpclipError] = {}

    def next_tasks(self) -> Iterator[ShardTask] | None:
        """The next tasks, each taken when it is asked for; None if every task of the run is done."""
        first = self._take(idle=True)
        return None if first is None else self._from(first)

    def finished(self, task: int, record: object) -> None:
        """Hand over the result of a task; may be called from another thread."""
        self._worker.finished(task, record)
        self._held.remove(task)

    def give_up(self, dataset: int, error: ExpclipError) -> None:
        """Have a dataset's tasks fail, those that are held and those that come."""
        self._failed[dataset] = error
        self._again, self._held = self._held, deque()

    def _from(self, first: ShardTask) -> Iterator[ShardTask]:
        yield first
        while (following := self._take(idle=False)) is not None:
            yield following

    def _take(self, *, idle: bool) -> ShardTask | None:
        while True:
            task = self._again.popleft() if self._again else self._worker.take(idle=idle)
            if task is None:
                return None
            self._held.append(task)
            error = self._failed.get(self._tasks[task].dataset)
            if error is None:
                return self._tasks[task]
            self.finished(task, error)
