"""Choose the items that a map shows."""

import numpy as np


def stratified_sample(labels: np.ndarray, items: int, seed: int) -> np.ndarray:
    """Some items of every class: at least one, beyond that in proportion to the class.

    Args:
        labels: (n,) integers, the true classes.
        items: how many to choose; all if there are not more.
        seed: the same seed chooses the same items.

    Returns:
        (min(n, items),) int64 numbers of items, ascending.
    """
    order = np.random.default_rng(seed).permutation(len(labels))
    place = np.empty(len(labels))
    for label in np.unique(labels):
        members = order[labels[order] == label]
        place[members] = np.arange(len(members)) / len(members)
    return np.sort(np.argsort(place, kind="stable")[:items])
