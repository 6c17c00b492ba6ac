"""What held-out images say about the targets of a state and its head, without labels and without prompts."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from expclip_cache.scoring import MIN_NORM


@dataclass(frozen=True)
class TargetScores:
    """Scores of one state on n held-out images.

    Attributes:
        mrr: mean reciprocal rank in percent, within batches: of its own target among all targets by the cosine to
            a projected image, and of the own image among all images by the cosine to a target.
        r2: share in percent of the variance of the targets at unit length that the projected images explain; negative
            if they are worse than the mean.
        constant: share in percent of the targets' squared length, at unit length, that their mean has: what the
            instruction gives to every image alike.
        rank: effective rank of the targets at unit length without their mean: (sum e)^2 / sum e^2 over the eigenvalues
            e of their covariance. Equal spread in k directions gives k.
    """

    mrr: float
    r2: float
    constant: float
    rank: float


def target_scores(weights: np.ndarray, batches: Iterable[tuple[np.ndarray, np.ndarray]]) -> TargetScores:
    """Score a head W (t, d) on held-out images.

    Args:
        batches: images (b, d) and targets (b, t), both raw; one batch at a time is in memory.
    """
    t, n, errors, reciprocal = len(weights), 0, 0.0, 0.0
    total, products = np.zeros(t), np.zeros((t, t))
    head = weights.astype(np.float64)
    for images, targets in batches:
        y, projected = unit_rows(targets.astype(np.float64)), images.astype(np.float64) @ head.T
        errors += np.square(y - projected).sum()
        total += y.sum(axis=0)
        products += y.T @ y
        cosines = unit_rows(projected) @ y.T
        reciprocal += (_reciprocal_ranks(cosines).sum() + _reciprocal_ranks(cosines.T).sum()) / 2
        n += len(y)
    mean = total / n
    covariance = products / n - np.outer(mean, mean)
    variance = float(np.trace(covariance))
    return TargetScores(
        mrr=100 * reciprocal / n,
        r2=100 * (1 - errors / n / max(variance, MIN_NORM)),
        constant=100 * float(mean @ mean),
        rank=variance**2 / max(float(np.square(covariance).sum()), MIN_NORM),
    )


def unit_rows(vectors: np.ndarray) -> np.ndarray:
    """Rows at unit length."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), MIN_NORM)


def _reciprocal_ranks(cosines: np.ndarray) -> np.ndarray:
    """(b,) 1 / rank of each row's own column; equal cosines count in its favour."""
    return 1 / (1 + (cosines > np.diagonal(cosines)[:, None]).sum(axis=1))
