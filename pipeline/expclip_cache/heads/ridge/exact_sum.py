"""Sums of float64 arrays that come out the same to the last bit, whatever the order and the grouping.

Floating-point addition rounds, so a sum over shards depends on who added what first. Here each term is first rounded
to a fixed grid, a coarse part and a fine part; multiples of one grid add without any rounding as long as they stay
below 2**53 steps of it, and exact addition is associative and commutative.
"""

from collections.abc import Sequence

import numpy as np

from expclip_cache.base import DataError

COARSE_STEP = 2.0**-16
FINE_STEP = 2.0**-52
LARGEST = 2.0**51 * COARSE_STEP
"""2**35: no term and no sum may reach it; below it rounding to the coarse grid works as intended."""
MOST_TERMS = 2**17
"""So many fine parts, each at most half a coarse step, stay below 2**53 fine steps."""

_CHUNK = 32_768
"""Elements worked on at once: three float64 chunks stay in a core's own cache."""


class ExactSum:
    """A sum of arrays of one shape, exact but for one rounding of each term to a multiple of 2**-52.

    Error bound: k terms leave each element of the sum within k * 2**-53 of the true sum, plus half a unit in the last
    place of `value`. Memory: twice the array, however many terms.

    Attributes:
        coarse, fine: float64, the two parts; the sum is `coarse + fine`.
        terms: number of arrays added so far, here or in sums that were merged.
    """

    def __init__(self, shape: Sequence[int]):
        self.coarse = np.zeros(shape)
        self.fine = np.zeros(shape)
        self.terms = 0

    @classmethod
    def from_parts(cls, coarse: np.ndarray, fine: np.ndarray, terms: int) -> "ExactSum":
        """The sum that had these attributes."""
        made = cls((0,))
        made.coarse, made.fine, made.terms = coarse, fine, terms
        return made

    def add(self, values: np.ndarray) -> None:
        """Add one float64 array, C-contiguous.

        Raises:
            DataError: an element of the array or of the sum is not finite or reaches 2**35, or there are too many
                terms.
        """
        self._count(1)
        to_coarse, to_fine = 1.5 * 2.0**52 * COARSE_STEP, 1.5 * 2.0**52 * FINE_STEP
        terms, coarse, fine = values.reshape(-1), self.coarse.reshape(-1), self.fine.reshape(-1)
        rounded, rest = np.empty(_CHUNK), np.empty(_CHUNK)
        for start in range(0, len(terms), _CHUNK):
            part = slice(start, min(start + _CHUNK, len(terms)))
            high, low = rounded[: part.stop - start], rest[: part.stop - start]
            _refuse_large(terms[part])
            # Adding and taking away a large number leaves the nearest multiple of its last place.
            np.add(terms[part], to_coarse, out=high)
            high -= to_coarse
            np.subtract(terms[part], high, out=low)
            low += to_fine
            low -= to_fine
            coarse[part] += high
            fine[part] += low
            _refuse_large(coarse[part])

    def merge(self, other: "ExactSum") -> None:
        """Add another sum of the same shape; exact.

        Raises:
            DataError: see `add`.
        """
        self._count(other.terms)
        self.coarse += other.coarse
        self.fine += other.fine
        _refuse_large(self.coarse)

    def value(self) -> np.ndarray:
        """The sum, float64, rounded once."""
        return self.coarse + self.fine

    def _count(self, terms: int) -> None:
        if self.terms + terms > MOST_TERMS:
            raise DataError(f"an exact sum holds at most {MOST_TERMS} terms, found more. Use larger shards.")
        self.terms += terms


def _refuse_large(values: np.ndarray) -> None:
    # Written so that NaN fails too.
    if values.size and not (values.max() < LARGEST and values.min() > -LARGEST):
        raise DataError(
            f"expected finite sums below {LARGEST:.3g} in magnitude, found {np.abs(values).max():.3g}. The features "
            "are far larger than an encoder's: check the cache they come from."
        )
