"""Map a function over items in several threads, which pays off where each waits for a disk or a network."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def thread_map(
    work: Callable[[Item], Result], items: Iterable[Item], threads: int, ahead: int | None = None
) -> Iterator[Result]:
    """The results in the order of the items.

    What an item raises is raised in its place; later items are then given up.

    Args:
        items: taken in the caller's thread, no more than `ahead` too early.
        ahead: items that are worked on, or wait for it, before their results are needed; by default as many as there
            are threads, and none with one thread, where everything then happens in the caller's.
    """
    if threads == 1 and ahead is None:
        yield from map(work, items)
        return
    most = threads if ahead is None else ahead
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[Future[Result]] = deque()
        try:
            for item in items:
                waiting.append(pool.submit(work, item))
                if len(waiting) > most:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
