"""Confusion matrix, UAR and WAR of zero-shot predictions. NumPy only.

WAR is the share of items that are classified correctly. UAR is the mean recall over the classes, so every class has the
same weight. Both are in percent. A class without test items has no recall and is left out of UAR's mean (the convention
of scikit-learn's `balanced_accuracy_score`); predicting such a class still counts as a mistake.

Sets with five folds: the reference reports the unweighted mean of the folds' scores (`fold_mean`). Pooling sums the
confusion matrices first (`pooled`), so every clip has the same weight.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from expclip_cache.base import DataError

Confusion = NDArray[np.int64]
"""(c, c) int64 counts: rows are the true class, columns the predicted class."""


@dataclass(frozen=True)
class Scores:
    """UAR and WAR in percent, 0 to 100, and the number of test items they were computed from."""

    uar: float
    war: float
    items: int


def confusion(truth: ArrayLike, predicted: ArrayLike, c: int) -> Confusion:
    """Count how often each true class was predicted as each class.

    Args:
        truth: (n,) integers in [0, c), the true classes.
        predicted: (n,) integers in [0, c), the predicted classes.
        c: number of classes.

    Returns:
        (c, c) int64, rows = truth, columns = predicted.

    Raises:
        DataError: the lengths differ, one is not a vector of integers, or a label is outside [0, c); the message
            names the first such row.
    """
    truth = _labels(truth, "truth", c)
    predicted = _labels(predicted, "predicted", c)
    if len(truth) != len(predicted):
        raise DataError(
            f"confusion: truth has {len(truth)} rows and predicted {len(predicted)}; expected the same number."
        )
    return np.bincount(truth * c + predicted, minlength=c * c).reshape(c, c).astype(np.int64, copy=False)


def recall(matrix: ArrayLike) -> NDArray[np.float64]:
    """Recall of each class in percent.

    Args:
        matrix: (c, c) counts, rows = truth.

    Returns:
        (c,) float64; NaN for a class without test items.

    Raises:
        DataError: `matrix` is not a square matrix of counts, or counts no items.
    """
    counts = _counts(matrix)
    items = counts.sum(axis=1)
    return 100.0 * np.divide(counts.diagonal(), items, out=np.full(len(counts), np.nan), where=items > 0)


def uar(matrix: ArrayLike) -> float:
    """Unweighted average recall in percent: the mean recall of the classes that have test items.

    Raises:
        DataError: see `recall`.
    """
    return float(np.nanmean(recall(matrix)))


def war(matrix: ArrayLike) -> float:
    """Weighted average recall in percent: correct items over all items, i.e. the accuracy.

    Raises:
        DataError: see `recall`.
    """
    counts = _counts(matrix)
    return float(100.0 * np.trace(counts) / counts.sum())


def scores(matrix: ArrayLike) -> Scores:
    """UAR, WAR and the number of items of a (c, c) confusion matrix.

    Raises:
        DataError: see `recall`.
    """
    return Scores(uar=uar(matrix), war=war(matrix), items=int(_counts(matrix).sum()))


def fold_mean(matrices: Sequence[ArrayLike], weights: Sequence[float] | None = None) -> Scores:
    """The mean of the folds' scores: unweighted, as the reference reports for DFEW and MAFW, if no weights are given.

    Args:
        matrices: one (c, c) confusion matrix per fold.
        weights: one per fold.

    Raises:
        DataError: there are no folds, or see `recall`.
    """
    if len(matrices) == 0:
        raise DataError("fold_mean: expected at least one confusion matrix, found none.")
    folds = [scores(matrix) for matrix in matrices]
    return Scores(
        uar=float(np.average([fold.uar for fold in folds], weights=weights)),
        war=float(np.average([fold.war for fold in folds], weights=weights)),
        items=sum(fold.items for fold in folds),
    )


def pooled(matrices: Sequence[ArrayLike]) -> Scores:
    """The scores over the items of all folds together.

    Args:
        matrices: one (c, c) confusion matrix per fold, all with the same classes.

    Raises:
        DataError: there are no folds, the sizes differ, or see `recall`.
    """
    folds = [_counts(matrix) for matrix in matrices]
    if len({fold.shape for fold in folds}) != 1:
        raise DataError(
            f"pooled: expected at least one confusion matrix, all of the same size, found "
            f"{[fold.shape for fold in folds]}. All folds of a dataset have the same classes."
        )
    return scores(np.sum(folds, axis=0))


def _labels(labels: ArrayLike, name: str, c: int) -> NDArray[np.int64]:
    """(n,) int64 labels, all within [0, c)."""
    array = np.asarray(labels)
    if array.ndim != 1 or not (array.size == 0 or np.issubdtype(array.dtype, np.integer)):
        raise DataError(f"confusion: {name}: expected (n,) integers, found {array.shape} {array.dtype}.")
    wrong = np.flatnonzero((array < 0) | (array >= c))
    if wrong.size:
        row, label = int(wrong[0]), int(array[wrong[0]])
        hint = " The label -1 marks an unlabelled row; leave it out." if label == -1 else ""
        raise DataError(
            f"confusion: {name} has {label} at row {row}, expected 0 to {c - 1} ({wrong.size} such rows).{hint}"
        )
    return array.astype(np.int64)


def _counts(matrix: ArrayLike) -> NDArray[np.int64]:
    """(c, c) counts, validated."""
    counts = np.asarray(matrix)
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1] or not np.issubdtype(counts.dtype, np.integer):
        raise DataError(f"confusion matrix: expected (c, c) integers, found {counts.shape} {counts.dtype}.")
    if counts.min(initial=0) < 0:
        raise DataError(f"confusion matrix: expected counts of at least 0, found {counts.min()}.")
    if counts.sum() == 0:
        raise DataError("confusion matrix: expected at least one test item, found none. Is the dataset empty?")
    return counts
