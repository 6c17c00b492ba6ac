"""What became of the items of each true class, as counts: all that intervals need, however many items there are.

An item's outcome under one system is the share of the system's heads that classify it correctly: 0 or 1 for plain CLIP
and for a head without seeds, a multiple of 1/s for a head with s seeds. Under a pair of systems it is the difference of
the two shares, so that what both get right or wrong cancels out. The mean outcome of a class is then its recall, or the
difference of two recalls.
"""

from dataclasses import dataclass

import numpy as np

from expclip_cache.base import DataError

RIGHT = 1 / 3
"""Items that Kerman's neutral prior adds to each class, classified correctly; it adds as many that are not."""


@dataclass(frozen=True, eq=False)
class Outcomes:
    """How many items of each class had which outcome.

    Attributes:
        values: (v,) float64 the outcomes, ascending.
        counts: (c, v) int64 items.
        prior: (v,) float64 items that the prior adds to every class.
    """

    values: np.ndarray
    counts: np.ndarray
    prior: np.ndarray

    @property
    def items(self) -> np.ndarray:
        """(c,) int64 items of each class."""
        return self.counts.sum(axis=1)


def item_outcomes(truth: np.ndarray, right: np.ndarray, c: int) -> Outcomes:
    """Count the outcomes under one system.

    Args:
        truth: (n,) true classes, 0 to c - 1.
        right: (n,) share of the system's heads that classify the item correctly, 0 to 1.
        c: number of classes.

    Raises:
        DataError: the lengths differ, a label is outside [0, c), or a share is outside [0, 1].
    """
    return _counted(truth, right, c, {0.0: RIGHT, 1.0: RIGHT})


def paired_outcomes(truth: np.ndarray, right: np.ndarray, other: np.ndarray, c: int) -> Outcomes:
    """Count the differences between two systems on the same items.

    Args:
        truth: (n,) true classes, 0 to c - 1.
        right, other: (n,) see `item_outcomes`, of the two systems; the outcome is `right - other`.
        c: number of classes.

    Raises:
        DataError: see `item_outcomes`.
    """
    # The two systems' priors, independent of each other: each of the four cases gets RIGHT / 2.
    prior = {-1.0: RIGHT / 2, 0.0: RIGHT, 1.0: RIGHT / 2}
    for shares in (right, other):
        _refuse_no_shares(shares)
    return _counted(truth, np.asarray(right) - np.asarray(other), c, prior)


def outcomes_of_correct(correct: np.ndarray, items: np.ndarray) -> Outcomes:
    """The outcomes under a single classifier, from the diagonal of its confusion matrix.

    Args:
        correct: (c,) int64 items of each class that it classifies correctly.
        items: (c,) int64 items of each class.
    """
    return Outcomes(np.array([0.0, 1.0]), np.stack([items - correct, correct], axis=1), np.array([RIGHT, RIGHT]))


def _counted(truth: np.ndarray, values: np.ndarray, c: int, prior: dict[float, float]) -> Outcomes:
    if min(prior) == 0.0:
        _refuse_no_shares(values)
    # Shares are multiples of 1/s: rounding makes equal those that float arithmetic made differ in the last bit.
    found, numbers = np.unique(np.round([*values, *prior], 9), return_inverse=True)
    counts = np.zeros((c, len(found)), dtype=np.int64)
    truth = np.asarray(truth)
    if len(truth) != len(values) or (len(truth) and not 0 <= truth.min() <= truth.max() < c):
        raise DataError(
            f"outcomes: expected {len(values)} true classes from 0 to {c - 1}, found {len(truth)}: {truth}."
        )
    np.add.at(counts, (truth, numbers[: len(truth)]), 1)
    return Outcomes(found, counts, np.array([prior.get(value, 0.0) for value in found.tolist()]))


def _refuse_no_shares(shares: np.ndarray) -> None:
    shares = np.asarray(shares)
    if shares.size and not 0 <= shares.min() <= shares.max() <= 1:
        raise DataError(f"outcomes: expected shares from 0 to 1, found {shares.min()} to {shares.max()}.")
