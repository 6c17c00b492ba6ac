"""Results come in the order of the items, few of which are taken ahead."""

import threading
import time

import pytest

from expclip_cache.base import thread_map


@pytest.mark.parametrize("threads", [1, 4])
def test_results_are_in_order_and_errors_in_their_place(threads):
    def work(item: int) -> int:
        time.sleep((7 * item % 5) / 1000)
        if item == 15:
            raise ValueError("15")
        return item * item

    results = thread_map(work, range(1000), threads)
    assert [next(results) for _ in range(15)] == [item * item for item in range(15)]
    with pytest.raises(ValueError, match="15"):
        next(results)


def test_threads_work_at_once_and_little_is_taken_ahead():
    taken, together = [], threading.Barrier(4, timeout=10)

    def items():
        for item in range(40):
            taken.append(item)
            yield item

    results = thread_map(lambda item: together.wait() >= 0 and item, items(), 4)
    assert next(results) == 0
    assert len(taken) <= 5
    assert list(results) == list(range(1, 40))
