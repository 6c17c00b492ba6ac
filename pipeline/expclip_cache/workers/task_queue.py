"""Which worker holds which task: the bookkeeping of the coordinator, without processes, clocks or messages."""

from collections import Counter, defaultdict, deque
from collections.abc import Iterable

MAX_DEATHS = 3
"""A task over which this many workers died is a poison task."""


class TaskQueue:
    """Hands out tasks, and requeues the unfinished tasks of workers that died.

    A worker takes tasks ahead, so when it dies, any task it held may be the cause. These suspects are handed out again
    one at a time, each to a worker that holds nothing else. So harmless tasks get finished, and a poison task is
    identified.
    """

    def __init__(self, tasks: Iterable[int]):
        self._queued = deque(sorted(tasks))
        self._suspects: list[int] = []
        self._deaths: Counter[int] = Counter()
        self._holder: dict[int, str] = {}
        self._held: defaultdict[str, list[int]] = defaultdict(list)
        self._idle_deaths = 0

    @property
    def done(self) -> bool:
        """Whether every task is finished."""
        return not (self._queued or self._suspects or self._holder)

    def take(self, worker: str, *, idle: bool) -> int | None:
        """The next task for a worker.

        Args:
            idle: the worker holds no task.

        Returns:
            None if there is no task for it now. Until the queue is `done`, tasks of other workers may be requeued.
        """
        if idle and self._suspects:
            task = self._suspects.pop(0)
        elif self._queued and not any(self._deaths[task] for task in self._held[worker]):
            task = self._queued.popleft()
        else:
            return None
        self._holder[task] = worker
        self._held[worker].append(task)
        return task

    def finish(self, task: int) -> None:
        """Mark a task as finished, by whichever worker: one that was thought dead may have finished it after all."""
        self._idle_deaths = 0
        holder = self._holder.pop(task, None)
        if holder is not None:
            self._held[holder].remove(task)
        elif task in self._suspects:
            self._suspects.remove(task)

    def requeue(self, worker: str) -> list[int]:
        """Requeue the tasks of a worker that died.

        Returns:
            These tasks.
        """
        tasks = self._held.pop(worker, [])
        for task in tasks:
            del self._holder[task]
            self._deaths[task] += 1
        self._suspects += tasks
        self._idle_deaths += not tasks
        return tasks

    @property
    def poison_task(self) -> int | None:
        """A requeued task over which `MAX_DEATHS` workers died."""
        return next((task for task in self._suspects if self._deaths[task] >= MAX_DEATHS), None)

    @property
    def workers_fail_to_start(self) -> bool:
        """Whether `MAX_DEATHS` workers in a row died without holding a task."""
        return self._idle_deaths >= MAX_DEATHS
