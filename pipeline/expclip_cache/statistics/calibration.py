"""Calibration: are answers that are shown with 80 percent right 80 times in 100?

The confidence of an answer is the percentage of its top class. Answers are sorted into 15 bins of equal width by their
confidence, as is usual since Guo et al. (2017, arXiv 1706.04599), so that the figures compare with published ones.
The expected calibration error (ECE) is the mean distance between a bin's mean confidence and its accuracy, each bin
weighted by its items.

The ECE of a perfectly calibrated classifier is above 0 on a finite test set: the accuracy of a bin with few items is
off by chance. `ece_if_calibrated` says by how much. It is reported beside the ECE and never subtracted from it.
"""

from dataclasses import dataclass

import numpy as np

from expclip_cache.base import DataError

BINS = 15
"""Bins of equal width, from 0 to 100 percent."""


@dataclass(frozen=True, eq=False)
class Reliability:
    """The answers of each bin.

    Attributes:
        items: (b,) int64.
        confidence: (b,) float64, mean confidence in percent; NaN for a bin without items.
        accuracy: (b,) float64, in percent; NaN likewise.
    """

    items: np.ndarray
    confidence: np.ndarray
    accuracy: np.ndarray

    @property
    def ece(self) -> float:
        """Expected calibration error, in points."""
        filled = self.items > 0
        gaps = np.abs(self.confidence[filled] - self.accuracy[filled])
        return float(np.average(gaps, weights=self.items[filled]))


@dataclass(frozen=True)
class Calibration:
    """How well a classifier's percentages match how often it is right.

    Attributes:
        items: n.
        accuracy: share of right answers, in percent; the same as WAR.
        confidence: mean confidence, in percent. Above the accuracy: overconfident.
        ece: expected calibration error, in points.
        ece_if_calibrated: about the ECE that a perfectly calibrated classifier with these confidences would have on so
            few items, in points.
        nll: mean negative log-likelihood of the true class, in nats; guessing has log(c).
    """

    items: int
    accuracy: float
    confidence: float
    ece: float
    ece_if_calibrated: float
    nll: float


def calibration(percent: np.ndarray, truth: np.ndarray) -> Calibration:
    """Measure the calibration of the percentages that are shown.

    Args:
        percent: (n, c) each row sums to 100, see `expclip_cache.scoring.softmax_percent`.
        truth: (n,) true classes, 0 to c - 1.

    Raises:
        DataError: there are no items, or the shapes do not fit.
    """
    confidence, right = answers(percent, truth)
    bins = reliability(confidence, right)
    return Calibration(
        items=len(right),
        accuracy=100 * float(right.mean()),
        confidence=float(confidence.mean()),
        ece=bins.ece,
        ece_if_calibrated=_ece_if_calibrated(confidence),
        nll=float(-np.log(percent[np.arange(len(truth)), truth] / 100).mean()),
    )


def answers(percent: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The answers behind (n, c) percentages: (n,) confidence in percent, (n,) bool whether each is right.

    Raises:
        DataError: as `calibration`.
    """
    if percent.ndim != 2 or truth.shape != percent.shape[:1] or len(truth) == 0:
        raise DataError(
            f"calibration: expected percentages (n, c) and true classes (n,) of at least one item, found "
            f"{percent.shape} and {truth.shape}."
        )
    return percent.max(axis=1), percent.argmax(axis=1) == truth


def reliability(confidence: np.ndarray, right: np.ndarray) -> Reliability:
    """Sort n answers into bins; an answer on the border of two belongs to the lower one.

    Args:
        confidence: (n,) in percent.
        right: (n,) bool.
    """
    place = _bin_of(confidence)
    items = np.bincount(place, minlength=BINS)
    filled = np.maximum(items, 1)
    missing = np.where(items > 0, 0.0, np.nan)
    return Reliability(
        items=items,
        confidence=np.bincount(place, confidence, BINS) / filled + missing,
        accuracy=100 * np.bincount(place, right, BINS) / filled + missing,
    )


def _bin_of(confidence: np.ndarray) -> np.ndarray:
    """(n,) int64, the number of each answer's bin."""
    return np.searchsorted(np.linspace(0, 100, BINS + 1)[1:-1], confidence)


def _ece_if_calibrated(confidence: np.ndarray) -> float:
    """About the mean ECE if each answer were right with a probability of its confidence.

    The number of right answers in a bin then has the variance v = sum p (1 - p). Its mean distance from its mean is
    sqrt(2 v / pi) for a normal distribution, and at most 2 v for any sum of independent 0s and 1s.
    """
    p = confidence / 100
    variance = np.bincount(_bin_of(confidence), p * (1 - p), BINS)
    return 100 * float(np.minimum(np.sqrt(2 * variance / np.pi), 2 * variance).sum()) / len(p)
