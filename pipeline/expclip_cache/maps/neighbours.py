"""Nearest neighbours among items: what can be said of the features themselves, and of how much a map keeps.

An item's k nearest are the k other items at the smallest distances. The share of its own class among them is taken
over as many as its class has other items, if these are fewer than k, so that 100 % is possible for every class. Shares
are means over the items of a class, then over the classes, as UAR is. Classes with a single item are left out.
"""

import numpy as np

BLOCK = 1024
"""Items whose distances to all others are computed at once."""


def nearest(points: np.ndarray, k: int) -> np.ndarray:
    """The nearest others of each point, by Euclidean distance; between unit vectors these are the largest cosines.

    Args:
        points: (m, w).
        k: at most m - 1.

    Returns:
        (m, k) int64, the nearest first.
    """
    points = points.astype(np.float64)
    squares = np.einsum("mw,mw->m", points, points)
    found = np.empty((len(points), k), dtype=np.int64)
    for start in range(0, len(points), BLOCK):
        block = np.arange(start, min(start + BLOCK, len(points)))
        distances = squares[block, None] + squares - 2 * points[block] @ points.T
        distances[np.arange(len(block)), block] = np.inf
        some = np.argpartition(distances, k - 1, axis=1)[:, :k]
        order = np.argsort(np.take_along_axis(distances, some, axis=1), axis=1, kind="stable")
        found[block] = np.take_along_axis(some, order, axis=1)
    return found


def own_class_share(near: np.ndarray, labels: np.ndarray) -> float:
    """How many of the nearest items have the item's own class, in percent.

    Args:
        near: (m, k) the nearest of each item, nearest first.
        labels: (m,) integers, the classes.

    Returns:
        NaN if no class has two items.
    """
    others = np.bincount(labels)[labels] - 1
    counted = np.arange(near.shape[1]) < others[:, None]
    same = (labels[near] == labels[:, None]) & counted
    return _mean_over_classes(same.sum(axis=1) / np.maximum(counted.sum(axis=1), 1), labels)


def own_class_chance(labels: np.ndarray) -> float:
    """`own_class_share` to be expected of items in random places, in percent."""
    return _mean_over_classes((np.bincount(labels)[labels] - 1) / max(len(labels) - 1, 1), labels)


def kept_share(before: np.ndarray, after: np.ndarray) -> float:
    """How many of the nearest items before are among the nearest after, in percent: (m, k) both."""
    return 100 * float((before[:, :, None] == after[:, None, :]).any(axis=2).mean())


def _mean_over_classes(values: np.ndarray, labels: np.ndarray) -> float:
    several = [label for label, count in enumerate(np.bincount(labels)) if count > 1]
    return 100 * float(np.mean([values[labels == label].mean() for label in several])) if several else float("nan")
