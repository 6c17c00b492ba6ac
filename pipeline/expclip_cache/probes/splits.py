"""Stratified parts of a set of labelled items. The same seed gives the same parts."""

from collections.abc import Iterator, Sequence

import numpy as np


def stratified_folds(labels: np.ndarray, folds: int, seed: Sequence[int]) -> np.ndarray:
    """Deal the items of each class round the folds, going on where the class before it ended.

    A class with fewer items than there are folds is missing from some of them: it is then tested less often, and
    training, on the other folds, has it whenever it has two items.

    Args:
        labels: (n,) classes.
        folds: how many.
        seed: integers.

    Returns:
        (n,) int64, the number of each item's fold.
    """
    order = np.concatenate(list(_shuffled(labels, seed)))
    found = np.empty(len(labels), dtype=np.int64)
    found[order] = np.arange(len(order)) % folds
    return found


def held_out(labels: np.ndarray, share: float, seed: Sequence[int]) -> np.ndarray:
    """(n,) bool: that share of each class, rounded; one of two items at least, and never a class's only one."""
    found = np.zeros(len(labels), dtype=bool)
    for members in _shuffled(labels, seed):
        count = max(round(share * len(members)), 1)
        if len(members) > 1:
            found[members[:count]] = True
    return found


def drawn(labels: np.ndarray, shots: int, seed: Sequence[int]) -> np.ndarray:
    """(m,) numbers of some items of each class: as many as `shots`. Fewer shots draw from among those of more."""
    return np.concatenate([members[:shots] for members in _shuffled(labels, seed)])


def _shuffled(labels: np.ndarray, seed: Sequence[int]) -> Iterator[np.ndarray]:
    """The numbers of the items of each class that has some, shuffled; labels below 0 are no class."""
    random = np.random.default_rng(seed)
    for label in np.unique(labels[labels >= 0]):
        yield random.permutation(np.flatnonzero(labels == label))
