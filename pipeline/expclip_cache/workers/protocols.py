"""The interface of an executor: what a worker runs, what it can ask for, and who is told about its results."""

from collections.abc import Sequence
from typing import Any, Protocol

from expclip_cache.base import Says


class Worker(Says, Protocol):
    """A worker's connection to the coordinator, which hands out the tasks."""

    @property
    def separate_process(self) -> bool:
        """Whether the worker is not the process that was started by the user; it may be on another machine."""
        ...

    def ready(self, where: str, facts: Any = None) -> Any:
        """Report that the worker is set up.

        Args:
            where: the worker's device, for people.
            facts: what all workers must agree on; picklable.

        Returns:
            The facts of the first worker that was ready. The caller compares them with its own.
        """

    def take(self, *, idle: bool) -> int | None:
        """Take the next task.

        Args:
            idle: the worker has no unfinished task. Then this waits as long as tasks of other workers may be requeued.

        Returns:
            None if there is no task: for good if `idle`, else until all tasks taken so far are finished.
        """

    def finished(self, task: int, record: Any, /) -> None:
        """Hand over the result of a task; may be called from another thread than `take`.

        Args:
            record: small and picklable.
        """

    def advance(self, task: int, steps: int, /) -> None:
        """Report that `steps` more steps of a task are done."""


class WorkerFunction(Protocol):
    """What a worker runs from start to end. Picklable."""

    @property
    def modules(self) -> Sequence[str]:
        """Modules that it imports and that take long; processes of one machine import them once for all."""
        ...

    @property
    def threads(self) -> int:
        """CPU threads that one worker uses."""
        ...

    def __call__(self, worker: Worker, device: str, /) -> None:
        """Take and do tasks until none is left.

        Raises:
            LostWorkerError: a process the worker depends on died; its tasks may be tried again.
            ExpclipError: any other ends the job.
        """


class Listener(Says, Protocol):
    """Told about everything that happens; called only in the process that called `execute`."""

    def ready(self, where: str, /) -> None:
        """The first worker is ready, on these devices."""

    def finished(self, task: int, record: Any, /) -> None:
        """A task is finished. Called twice if a worker that was thought dead finished it as well."""

    def lost(self, task: int, /) -> None:
        """The worker that held this task died; called before another worker gets the task."""

    def advance(self, task: int, steps: int, /) -> None:
        """`steps` more steps of a task are done; `lost` revokes them."""

    def name(self, task: int, /) -> str:
        """What the task stands for, for error messages."""
        ...
