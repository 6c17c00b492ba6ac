"""The intervals of predictions from anywhere."""

import numpy as np
from numpy.typing import ArrayLike

from expclip_cache.base import DataError
from expclip_cache.statistics.bootstrap import ScoreIntervals, intervals, score_draws
from expclip_cache.statistics.outcomes import item_outcomes, paired_outcomes
from expclip_cache.statistics.settings import StatisticsSettings

_SAME = ""
"""Name of the test set: predictions for the same items get the same draws."""


def score_intervals(
    truth: ArrayLike, predicted: ArrayLike, c: int, settings: StatisticsSettings = StatisticsSettings()
) -> ScoreIntervals:
    """The intervals of UAR and WAR over the test items.

    Args:
        truth: (n,) integers, the true classes from 0 to c - 1.
        predicted: (n,) predicted classes, or (s, n) those of s heads, whose mean scores the intervals are about.
        c: number of classes.
        settings: confidence, number of draws and seed.

    Returns:
        In percent.

    Raises:
        DataError: the shapes do not fit, or a true class is outside [0, c).
    """
    labels = np.asarray(truth)
    outcomes = item_outcomes(labels, _share_right(labels, predicted), c)
    return intervals(score_draws(outcomes, settings, _SAME), settings)


def difference_intervals(
    truth: ArrayLike,
    predicted: ArrayLike,
    other: ArrayLike,
    c: int,
    settings: StatisticsSettings = StatisticsSettings(),
) -> ScoreIntervals:
    """The intervals of the differences in UAR and WAR between two classifiers on the same items.

    Args:
        truth: (n,) integers, the true classes from 0 to c - 1.
        predicted: see `score_intervals`.
        other: the same of the classifier that is subtracted; the numbers of heads may differ.
        c: number of classes.
        settings: confidence, number of draws and seed.

    Returns:
        In points.

    Raises:
        DataError: see `score_intervals`.
    """
    labels = np.asarray(truth)
    outcomes = paired_outcomes(labels, _share_right(labels, predicted), _share_right(labels, other), c)
    return intervals(score_draws(outcomes, settings, _SAME), settings)


def _share_right(truth: np.ndarray, predicted: ArrayLike) -> np.ndarray:
    """(n,) for each item the share of the heads that classify it correctly."""
    rows = np.atleast_2d(np.asarray(predicted))
    if truth.ndim != 1 or len(truth) == 0 or rows.ndim != 2 or rows.shape[1] != len(truth):
        raise DataError(
            f"intervals: expected (n,) true classes and (n,) or (s, n) predictions of at least one item, found "
            f"{truth.shape} and {np.shape(predicted)}."
        )
    return (rows == truth).mean(axis=0)
