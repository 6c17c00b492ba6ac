"""Map a function over chunks of work in several processes of this machine."""

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from typing import Protocol, TypeVar

from expclip_cache.base.process_lifetime import exit_with_parent, stop_signals_blocked

Chunk = TypeVar("Chunk")
Result = TypeVar("Result")


class Map(Protocol):
    """The built-in `map`, or one that works in other processes; results come in the order of the chunks."""

    def __call__(self, function: Callable[[Chunk], Result], chunks: Iterable[Chunk], /) -> Iterator[Result]:
        """The results of the chunks."""
        ...


@contextmanager
def process_map(processes: int) -> Iterator[Map]:
    """A `map` that works in this process or in several others, which end with this one and when the block does.

    Raises:
        BrokenProcessPool: a process died.
    """
    if processes == 1:
        yield map
        return
    # A forked process begins at once; another one would first import what this one has, an encoder included.
    forked = sys.platform == "linux"
    context = get_context("fork" if forked else None)
    pool = ProcessPoolExecutor(processes, context, exit_with_parent, (os.getpid(),))
    with stop_signals_blocked(forked=forked):
        pool.submit(os.getpid)  # starts the processes
    try:
        yield pool.map
    finally:
        pool.shutdown(cancel_futures=True)
