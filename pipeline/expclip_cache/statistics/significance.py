"""McNemar's exact test of two classifiers on the same items, and Holm's correction for several test sets."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class McNemar(NamedTuple):
    """McNemar's exact test: do two classifiers differ in how many items they classify correctly?

    Attributes:
        only_first: items that only the first classifies correctly.
        only_second: items that only the second does.
        p: two-sided, under the hypothesis that either is as likely for an item on which they differ.
    """

    only_first: int
    only_second: int
    p: float


def mcnemar(first: np.ndarray, second: np.ndarray) -> McNemar:
    """Test two systems on the same items.

    A system whose head has several seeds is several classifiers. Each of the first is tested against each of the
    second, and the pair with the largest p is returned: a small p says that the systems differ whatever the seeds.

    Args:
        first, second: (s, n) bool, whether each classifier is right on each item; the numbers of seeds s may differ.
    """
    from scipy.stats import binom

    # Integers of 64 bits: products of (s, n) and (n, s) matrices count items.
    first, second = first.astype(np.int64), second.astype(np.int64)
    only_first, only_second = first @ (1 - second).T, (1 - first) @ second.T
    p = np.minimum(1.0, 2 * binom.cdf(np.minimum(only_first, only_second), only_first + only_second, 0.5))
    worst = np.unravel_index(p.argmax(), p.shape)
    return McNemar(int(only_first[worst]), int(only_second[worst]), float(p[worst]))


def holm(p: Sequence[float]) -> list[float]:
    """The p values corrected for their number by Holm (1979), in the same order.

    Rejecting where the corrected value is at most alpha keeps the chance of any false rejection among all of them at
    most alpha, whatever their dependence.
    """
    order = np.argsort(p, kind="stable")
    factors = len(p) - np.arange(len(p))
    corrected = np.empty(len(p))
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(np.asarray(p, dtype=float)[order] * factors))
    return corrected.tolist()
