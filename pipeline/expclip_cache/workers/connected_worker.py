"""The worker's side of a transport: run the worker function, and report to the coordinator."""

import os
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from typing_extensions import override

from expclip_cache.base import ExpclipError, LostWorkerError
from expclip_cache.workers.protocols import Worker

PROGRESS_SECONDS = 1.0
"""Interval at which a worker reports its progress."""


class Connection(Protocol):
    """Carries messages to the coordinator; see `Messages`."""

    def send(self, *messages: tuple[Any, ...]) -> None:
        """Send messages together and in this order; may be called from any thread."""

    def ask(self, *messages: tuple[Any, ...]) -> Any:
        """Send messages, and wait for the answer to the last one."""


def run_worker(function: Callable[[Worker, str], None], device: str, connection: Connection) -> None:
    """Run the function, and report the error if it raises one."""
    try:
        function(ConnectedWorker(connection), device)
    except LostWorkerError as error:
        connection.send(("lost", str(error)))
    except ExpclipError as error:
        connection.send(("failed", error))
    except Exception:  # noqa: BLE001 - reported to the coordinator, which raises it
        where = f"{device} of {os.uname().nodename}"
        connection.send(("failed", RuntimeError(f"a worker on {where} failed:\n{traceback.format_exc()}")))


class ConnectedWorker(Worker):
    """A `Worker` that sends messages."""

    def __init__(self, connection: Connection):
        self._connection = connection
        self._unreported: Counter[int] = Counter()
        self._reported_at = time.monotonic()

    @property
    @override
    def separate_process(self) -> bool:
        return True

    @override
    def ready(self, where: str, facts: Any = None) -> Any:
        return self._connection.ask(("ready", where, facts))

    @override
    def take(self, *, idle: bool) -> int | None:
        return self._connection.ask(*self._progress(list(self._unreported)), ("take", idle))

    @override
    def finished(self, task: int, record: Any, /) -> None:
        # The progress goes first: the coordinator stops listening after the last finished task.
        self._connection.send(*self._progress([task]), ("finished", task, record))

    @override
    def advance(self, task: int, steps: int, /) -> None:
        self._unreported[task] += steps
        if time.monotonic() - self._reported_at > PROGRESS_SECONDS:
            self._connection.send(*self._progress(list(self._unreported)))

    @override
    def say(self, line: str, /) -> None:
        self._connection.send(("say", line))

    def _progress(self, tasks: Iterable[int]) -> list[tuple[Any, ...]]:
        """Messages about the unreported steps of these tasks, which count as reported from now on."""
        self._reported_at = time.monotonic()
        # `finished` may run at the same time in another thread, but for a task that no longer advances.
        return [("advance", task, steps) for task in tasks if (steps := self._unreported.pop(task, 0))]
