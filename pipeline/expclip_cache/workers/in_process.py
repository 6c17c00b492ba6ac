"""One worker, which is this process: there is nothing to start, to watch or to requeue."""

from collections.abc import Iterable
from typing import Any

from expclip_cache.workers.protocols import Listener, WorkerFunction


def run_in_process(function: WorkerFunction, tasks: Iterable[int], device: str, listener: Listener) -> None:
    """Do all tasks in this process, in the order given."""
    function(_ThisProcess(tasks, listener), device)


class _ThisProcess:
    """A `Worker` without a coordinator."""

    separate_process = False

    def __init__(self, tasks: Iterable[int], listener: Listener):
        self._tasks, self._listener = iter(tasks), listener
        self.finished, self.advance, self.say = listener.finished, listener.advance, listener.say

    def ready(self, where: str, facts: Any = None) -> Any:
        self._listener.ready(where)
        return facts

    def take(self, *, idle: bool) -> int | None:
        return next(self._tasks, None)
