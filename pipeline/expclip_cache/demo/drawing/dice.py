"""Random numbers that are the same on every machine and with every NumPy version.

NumPy guarantees the streams of its bit generators (NEP 19), not those of `Generator`'s distributions. So the
raw 64-bit words of PCG64 are taken, and the few distributions needed are made of them by plain arithmetic.
"""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

Item = TypeVar("Item")

_BLOCK = 192
"""Words drawn at once; a face needs about 120."""


class Dice:
    """A stream of numbers that depends on its key alone.

    Args:
        key: non-negative integers, for example (set seed, index of the image, what the numbers are for).
    """

    def __init__(self, *key: int) -> None:
        self._bits = np.random.PCG64(np.random.SeedSequence(key))
        self._left: list[float] = []

    def random(self) -> float:
        """A number in [0, 1)."""
        if not self._left:
            self._left = ((self._bits.random_raw(_BLOCK) >> np.uint64(11)) * 2.0**-53).tolist()
        return self._left.pop()

    def uniform(self, low: float, high: float) -> float:
        """A number in [low, high)."""
        return low + (high - low) * self.random()

    def bell(self, spread: float) -> float:
        """A bell-shaped number around 0 with standard deviation `spread`, never beyond 3 spreads.

        The sum of three uniform numbers: no logarithm or cosine, whose last digit is the machine's.
        """
        return (self.random() + self.random() + self.random() - 1.5) * 2.0 * spread

    def chance(self, probability: float) -> bool:
        """True with the given probability."""
        return self.random() < probability

    def choose(self, items: Sequence[Item], weights: Sequence[float] | None = None) -> Item:
        """One of the items, with equal probability or in proportion to `weights`."""
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
