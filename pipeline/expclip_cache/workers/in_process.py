"""One worker, which is this process: nothing to start, to watch or to take back."""

from collections.abc import Iterable, Iterator

from expclip_cache.workers.protocols import Facts, Listener, Work


def run_in_process(work: Work, numbers: Iterable[int], device: str, listener: Listener) -> None:
    """Do all the work here."""
    work(_Here(iter(numbers), listener), device)


class _Here:
    """The `Worker` of this process."""

    apart = False

    def __init__(self, numbers: Iterator[int], listener: Listener):
        self._numbers = numbers
        self.finished, self.advance, self.say = listener.finished, listener.advance, listener.say
        self._listener = listener

    def ready(self, where: str, facts: Facts = None) -> Facts:
        self._listener.ready(where)
        return facts

    def take(self, *, fresh: bool) -> int | None:
        return next(self._numbers, None)
