"""What the two sides of an executor expect of each other."""

from typing import Any, Protocol

Record = Any
"""What a worker hands back for a finished number: small and picklable."""

Facts = Any
"""What all workers of a job must agree on; picklable and comparable."""


class Worker(Protocol):
    """The driver, as a worker sees it.

    Attributes:
        apart: whether it is another process, maybe on another machine.
    """

    apart: bool

    def ready(self, where: str, facts: Facts = None) -> Facts:
        """Say that the worker is set up, and on what.

        Returns:
            The facts of whoever was ready first: the worker ends with an error if its own differ.
        """

    def take(self, *, fresh: bool) -> int | None:
        """Take the next number.

        Args:
            fresh: the worker holds nothing unfinished. Then this waits while what others hold may come back.

        Returns:
            None if there is nothing to take: for good if `fresh`, else until all that was taken is finished.
        """

    def finished(self, number: int, record: Record) -> None:
        """Hand back the record of a number that is done; may be called by another thread than `take`."""

    def advance(self, number: int, steps: int) -> None:
        """Say that so many more steps of a number are done."""

    def say(self, line: str) -> None:
        """One line for the user."""


class Work(Protocol):
    """What one worker does from its start to its end. Picklable.

    Attributes:
        threads: of the CPU that one worker uses.
    """

    threads: int

    def __call__(self, worker: Worker, device: str) -> None:
        """Take numbers until there are none.

        Raises:
            LostWorkerError: something the worker depends on died; its numbers may be tried again.
            ExpclipError: any other ends the job.
        """


class Listener(Protocol):
    """What the driver's caller wants to know; called in the driver's process only."""

    def ready(self, where: str) -> None:
        """The first worker is set up, on this."""

    def finished(self, number: int, record: Record) -> None:
        """A number is done. It may be said twice: then a worker that was given up had finished it all the same."""

    def lost(self, number: int) -> None:
        """The worker that held this number is gone; called before another one takes it."""

    def advance(self, number: int, steps: int) -> None:
        """So many more steps of a number are done; `lost` says that they were for nothing."""

    def say(self, line: str) -> None:
        """One line for the user."""

    def name(self, number: int) -> str:
        """What a number stands for, in words."""
