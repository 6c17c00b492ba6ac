"""Read sources in threads while the encoder works on those before them."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from expclip_cache.prediction.sources import Pixels

T = TypeVar("T")


def read_ahead(read: Callable[[T], Pixels], sources: Iterable[T], ahead: int) -> Iterator[Pixels]:
    """What `read` returns for each source, in their order.

    Args:
        read: called in threads; decoding images and finding faces in them lets others run meanwhile.
        sources: taken in the caller's thread, no more than `ahead` too early.
        ahead: sources that are read, or wait for it, before the first of them is needed.
    """
    threads = ThreadPoolExecutor(os.cpu_count())
    try:
        waiting: deque[Future[Pixels]] = deque()
        for source in sources:
            waiting.append(threads.submit(read, source))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        threads.shutdown(cancel_futures=True)


def in_batches(found: Iterable[Pixels], size: int) -> Iterator[list[Pixels]]:
    """Groups with at least `size` squares each, but for the last; a clip or a photo is never divided."""
    batch: list[Pixels] = []
    for pixels in found:
        batch.append(pixels)
        if sum(len(each.squares) for each in batch) >= size:
            yield batch
            batch = []
    if batch:
        yield batch
