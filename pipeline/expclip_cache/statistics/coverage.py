"""Coverage: how often the answers are right that are left when the least confident ones are not given.

This is what `predict --min-confidence` does. A coverage of 50 percent keeps the more confident half of the answers.
"""

import math

import numpy as np


def accuracy_at_coverage(confidence: np.ndarray, right: np.ndarray, coverage: float) -> float:
    """The accuracy in percent of the most confident answers; the order of the items does not matter.

    Args:
        confidence: (n,) in percent.
        right: (n,) bool.
        coverage: the share of the answers that is kept, in percent, above 0. Where answers with equal confidence have
            to be split, each is kept in part.
    """
    least, count = confidence_at_coverage(confidence, coverage), _count(confidence, coverage)
    above, level = confidence > least, confidence == least
    return 100 * float(right[above].sum() + (count - above.sum()) * right[level].mean()) / count


def confidence_at_coverage(confidence: np.ndarray, coverage: float) -> float:
    """The lowest of the (n,) confidences that is kept at a coverage in percent: a value for `--min-confidence`."""
    return float(np.sort(confidence)[-_count(confidence, coverage)])


def _count(confidence: np.ndarray, coverage: float) -> int:
    return math.ceil(round(len(confidence) * coverage / 100, 6))
