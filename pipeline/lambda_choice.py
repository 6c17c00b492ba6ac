"""Choosing lambda without labels: the contrastive loss of every ridge head on held-out, unlabelled faces.

The rule: the largest lambda whose held-out loss is within a tolerance of the best. The loss is flat over decades of
lambda, so its minimum is an accident of the sample; the largest lambda of the flat part is the head that deviates
least from zero without being measurably worse. Labels are never seen.

Everything happens in CLIP's width d: with p = V'x and q = B'y, the inner product of Wx and y is p' S q and the squared
length of Wx is p' S B'B S p, where S = diag(1 / (e + lambda m)). p and q are computed once for all lambdas.
"""

from collections.abc import Iterable, Sequence

import numpy as np

from pipeline.errors import DataError
from pipeline.ridge import RidgePath


def is_held_out(rows: np.ndarray, share: float) -> np.ndarray:
    """Which rows are held out: evenly spread over the manifest, so every folder or film gives its share.

    Args:
        rows: (n,) row ids.
        share: of the rows, 0 for none.

    Returns:
        (n,) bool; a row's own number decides, whatever the other rows are.

    >>> is_held_out(np.arange(8), 0.25).nonzero()[0].tolist()
    [3, 7]
    """
    return np.floor((rows + 1) * share) > np.floor(rows * share)


def even_batches(rows: np.ndarray, size: int) -> list[np.ndarray]:
    """Cut rows into batches of nearly equal size, about `size` each; none is left over.

    Neighbours in a manifest are often the same person or film, so a batch takes every k-th row.
    """
    count = max(1, round(len(rows) / size))
    return [rows[start::count] for start in range(count)]


def held_out_losses(
    path: RidgePath,
    lambdas: Sequence[float],
    batches: Iterable[tuple[np.ndarray, np.ndarray]],
    logit_scale: float,
) -> np.ndarray:
    """Contrastive loss of each lambda's head, the very loss the contrastive fit trains on.

    Args:
        path: fitted on other rows.
        batches: (images (b, d) raw, targets (b, t) raw), one after the other; memory is that of one batch.
        logit_scale: s, the factor itself.

    Returns:
        (k,) float64 losses in nats, mean over the rows.

    Raises:
        DataError: there is no held-out row.
    """
    totals, rows = np.zeros(len(lambdas)), 0
    # Scaled to order one, which no cosine sees, so that float32 does: twice as fast, losses good to about 1e-5.
    size = np.sqrt(np.trace(path.loadings_squared))
    loadings, squared = np.float32(path.loadings / size), np.float32(path.loadings_squared / size**2)
    vectors = np.float32(path.vectors)
    shrinkages = [np.float32(path.shrinkage(value) * path.mean_value) for value in lambdas]
    for images, targets in batches:
        y = targets.astype(np.float32)
        y /= np.maximum(np.linalg.norm(y, axis=1, keepdims=True), 1e-12)
        p, q = images.astype(np.float32) @ vectors, y @ loadings
        for place, scales in enumerate(shrinkages):
            shrunk = p * scales
            lengths = np.sqrt(np.maximum(((shrunk @ squared) * shrunk).sum(axis=1, keepdims=True), 0))
            logits = logit_scale * (shrunk @ q.T) / np.maximum(lengths, 1e-12)
            totals[place] += len(y) * _symmetric_loss(logits)
        rows += len(y)
    if rows == 0:
        raise DataError("no row is held out, so lambda cannot be chosen. Use more faces or ridge.choose: fixed.")
    return totals / rows


def choose_lambda(lambdas: Sequence[float], losses: np.ndarray, tolerance: float) -> float:
    """The largest lambda whose loss is at most `tolerance` nats above the best.

    >>> choose_lambda([0.01, 0.1, 1.0], np.array([2.0, 2.01, 2.3]), 0.02)
    0.1
    """
    good = losses <= losses.min() + tolerance
    return max(value for value, fine in zip(lambdas, good, strict=True) if fine)


def _symmetric_loss(logits: np.ndarray) -> float:
    """Mean cross-entropy of rows and columns, each asked to find its own partner; (b, b) logits."""
    partner = np.diagonal(logits)
    both = [_log_sum_exp(logits, axis) - partner for axis in (0, 1)]
    return float(np.mean(both, dtype=np.float64))


def _log_sum_exp(values: np.ndarray, axis: int) -> np.ndarray:
    largest = values.max(axis=axis, keepdims=True)
    return np.squeeze(largest, axis) + np.log(np.exp(values - largest).sum(axis=axis))
