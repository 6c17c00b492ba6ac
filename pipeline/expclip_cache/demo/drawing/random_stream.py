"""Random numbers that are the same on every machine and with every NumPy version.

NumPy guarantees the streams of its bit generators (NEP 19), but not those of `Generator`'s distributions. So the
distributions here are plain arithmetic on the raw 64-bit words of PCG64.
"""

from collections.abc import Iterator, Sequence
from typing import TypeVar

import numpy as np

Item = TypeVar("Item")

_BLOCK = 192
"""Words generated at once; a face needs about 120."""


class RandomStream:
    """A stream of random numbers that depends on nothing but its key.

    Attributes:
        random: called without arguments, gives the next number in [0, 1).

    Args:
        key: non-negative integers, for example the set's seed, the item's index, and a number for the purpose.
    """

    def __init__(self, *key: int) -> None:
        self._bits = np.random.PCG64(np.random.SeedSequence(key))
        self.random = self._numbers().__next__

    def _numbers(self) -> Iterator[float]:
        while True:
            yield from ((self._bits.random_raw(_BLOCK)[::-1] >> np.uint64(11)) * 2.0**-53).tolist()

    def uniform(self, low: float, high: float) -> float:
        """A number in [low, high)."""
        return low + (high - low) * self.random()

    def bell(self, spread: float) -> float:
        """A number from a bell-shaped distribution: mean 0, standard deviation `spread`, at most 3 spreads from 0.

        It is a sum of three uniform numbers: logarithms and cosines differ in the last digit between machines.
        """
        random = self.random
        return (random() + random() + random() - 1.5) * 2.0 * spread

    def chance(self, probability: float) -> bool:
        """True with the given probability."""
        return self.random() < probability

    def choose(self, items: Sequence[Item], weights: Sequence[float] | None = None) -> Item:
        """One of the items, with equal probabilities or in proportion to `weights`."""
        if weights is None:
            return items[int(self.random() * len(items))]
        left = self.random() * sum(weights)
        for item, weight in zip(items, weights, strict=True):
            left -= weight
            if left < 0:
                return item
        return items[-1]

    def bytes(self, count: int) -> np.ndarray:
        """`count` bytes, uint8, shape (count,)."""
        words = self._bits.random_raw(-(-count // 8))
        return words.astype("<u8").view(np.uint8)[:count]
