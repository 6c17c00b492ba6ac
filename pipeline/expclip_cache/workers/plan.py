"""Which worker has which number: the bookkeeping of every executor, without processes, clocks or messages."""

from collections import Counter, defaultdict, deque
from collections.abc import Iterable

from expclip_cache.base import LostWorkerError

MOST_DEATHS = 3
"""So many workers in a row may die over one number; then the number is taken for the cause."""


class Plan:
    """Hands out numbers, and takes back what a lost worker had not finished.

    A worker takes ahead of what it is working on, so when it dies each number it held may be the cause. Such suspects
    are handed out again one at a time, to a worker that holds nothing else: the innocent are finished, and the guilty
    is known by name.
    """

    def __init__(self, numbers: Iterable[int]):
        self._todo = deque(sorted(numbers))
        self._suspects: list[int] = []
        self._deaths: Counter[int] = Counter()
        self._holder: dict[int, str] = {}
        self._held: defaultdict[str, list[int]] = defaultdict(list)
        self._idle_deaths = 0

    @property
    def done(self) -> bool:
        """Whether every number is finished."""
        return not (self._todo or self._suspects or self._holder)

    def take(self, worker: str, *, fresh: bool) -> int | None:
        """The next number for a worker.

        Args:
            fresh: the worker holds nothing.

        Returns:
            None if there is none for it now. If the plan is not done, numbers that others hold may still come back.
        """
        if fresh and self._suspects:
            number = self._suspects.pop(0)
        elif self._todo and not any(self._deaths[number] for number in self._held[worker]):
            number = self._todo.popleft()
        else:
            return None
        self._holder[number] = worker
        self._held[worker].append(number)
        return number

    def held(self, worker: str) -> list[int]:
        """What a worker has taken and not finished."""
        return list(self._held.get(worker, []))

    def finish(self, number: int) -> None:
        """Note that a number is done, whoever did it: a worker that was given up may have finished it all the same."""
        self._idle_deaths = 0
        holder = self._holder.pop(number, None)
        if holder is not None:
            self._held[holder].remove(number)
        elif number in self._suspects:
            self._suspects.remove(number)

    def lose(self, worker: str) -> list[int]:
        """Take back what a worker held that is gone.

        Returns:
            These numbers; others may take them again.
        """
        numbers = self._held.pop(worker, [])
        for number in numbers:
            del self._holder[number]
            self._deaths[number] += 1
        self._suspects += numbers
        self._idle_deaths += not numbers
        return numbers

    @property
    def guilty(self) -> int | None:
        """A number over which too many workers have died."""
        return next((number for number in self._suspects if self._deaths[number] >= MOST_DEATHS), None)

    @property
    def starts_in_vain(self) -> bool:
        """Whether worker after worker dies without having taken anything."""
        return self._idle_deaths >= MOST_DEATHS


def refuse_more_deaths(guilty: str | None, in_vain: bool, how: str) -> None:
    """End a job in which workers keep dying.

    Args:
        guilty: what the number stands for over which they die.
        in_vain: they die before they take anything.
        how: the last one died, in a sentence.

    Raises:
        LostWorkerError: it is one of the two.
    """
    if guilty is not None:
        raise LostWorkerError(
            f"{guilty}: {MOST_DEATHS} workers died over it, one after the other. The last: {how} What was finished "
            "is kept."
        )
    if in_vain:
        raise LostWorkerError(f"{MOST_DEATHS} workers died before they took any work, one after the other. {how}")
