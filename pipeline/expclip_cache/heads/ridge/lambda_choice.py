"""Choosing lambda without labels: the contrastive loss of every ridge head on held-out, unlabelled images.

The rule: the largest lambda whose held-out gain over chance is within a tolerance of the best. The best lambda for
images is too small for texts: they lie mostly in directions that no image uses, and a small lambda amplifies those. So
lambda is as large as the images allow (docs/closed-form-head.md). Labels are never used.

The logit scale is tuned along with it. CLIP's own suits CLIP's cosines and makes a ridge head overconfident, so that
the loss would measure calibration more than discrimination. One scale serves all lambdas.

Everything is computed in CLIP's width d. With p = V'x and q = B'y, the inner product of Wx and y is p' S q and the
squared length of Wx is p' S B'B S p, where S = diag(1 / (e + lambda m)). p and q are computed once for all lambdas.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from expclip_cache.base import DataError
from expclip_cache.heads.ridge.ridge_path import RidgePath

HALVINGS = 6
"""Number of logit scales that are tried: CLIP's, a half of it, a quarter, ..."""


@dataclass(frozen=True)
class HeldOutLosses:
    """Losses on held-out images.

    Attributes:
        lambdas: k values.
        losses: (k,) float64, in nats, under the logit scale at which the best of them is lowest.
        logit_scale: that scale.
        chance: loss of a head that cannot tell images apart, the log of the batch size.
    """

    lambdas: tuple[float, ...]
    losses: np.ndarray
    logit_scale: float
    chance: float


def is_held_out(rows: np.ndarray, share: float) -> np.ndarray:
    """Which rows are held out: evenly spread over the manifest, so that every folder or film contributes its share.

    Args:
        rows: (n,) row ids.
        share: of the rows; 0 holds out none.

    Returns:
        (n,) bool; depends on each row's own id only.

    >>> is_held_out(np.arange(8), 0.25).nonzero()[0].tolist()
    [3, 7]
    """
    return np.floor((rows + 1) * share) > np.floor(rows * share)


def even_batches(rows: np.ndarray, size: int) -> list[np.ndarray]:
    """Split rows into batches of nearly equal size, about `size` each; no row is dropped.

    Neighbours in a manifest are often the same person or film, so a batch takes every k-th row.
    """
    count = batch_count(len(rows), size)
    return [rows[start::count] for start in range(count)]


def batch_count(rows: int, size: int) -> int:
    """k, the number of batches that `even_batches` makes of some rows."""
    return max(1, round(rows / size))


def held_out_losses(
    path: RidgePath,
    lambdas: Sequence[float],
    batches: Iterable[tuple[np.ndarray, np.ndarray]],
    logit_scale: float,
) -> HeldOutLosses:
    """The contrastive loss (`contrastive_loss`) of each lambda's head.

    Args:
        path: fitted on other rows.
        batches: (images (b, d) raw, targets (b, t) raw); one batch at a time is in memory.
        logit_scale: s, the factor itself; the largest that is tried.

    Raises:
        DataError: there are no held-out rows.
    """
    scales = logit_scale / 2.0 ** np.arange(HALVINGS)
    totals, chance, rows = np.zeros((HALVINGS, len(lambdas))), 0.0, 0
    # Scaled to order one, which leaves cosines unchanged, float32 is enough: twice as fast, losses good to about 1e-4.
    size = np.sqrt(np.trace(path.loadings_squared))
    loadings, squared = np.float32(path.loadings / size), np.float32(path.loadings_squared / size**2)
    vectors = np.float32(path.vectors)
    shrinkages = [np.float32(path.shrinkage(value) * path.mean_value) for value in lambdas]
    for images, targets in batches:
        y = targets.astype(np.float32)
        y /= np.maximum(np.linalg.norm(y, axis=1, keepdims=True), 1e-12)
        p, q = images.astype(np.float32) @ vectors, y @ loadings
        for place, shrinkage in enumerate(shrinkages):
            shrunk = p * shrinkage
            lengths = np.sqrt(np.maximum(((shrunk @ squared) * shrunk).sum(axis=1, keepdims=True), 0))
            cosines = (shrunk @ q.T) / np.maximum(lengths, 1e-12)
            totals[:, place] += len(y) * _symmetric_losses(cosines, scales)
        chance += len(y) * np.log(len(y))
        rows += len(y)
    if rows == 0:
        raise DataError("no row is held out, so lambda cannot be chosen. Use more images or choose: fixed.")
    best = totals.min(axis=1).argmin()
    return HeldOutLosses(tuple(lambdas), totals[best] / rows, float(scales[best]), chance / rows)


def choose_lambda(found: HeldOutLosses, tolerance: float) -> float:
    """The largest lambda that keeps all but a share `tolerance` of the best gain over chance.

    Raises:
        DataError: no head tells held-out images apart better than chance.

    >>> choose_lambda(HeldOutLosses((0.01, 0.1, 1.0), np.array([2.0, 2.01, 2.3]), 12.5, 5.0), 0.03)
    0.1
    """
    gains = found.chance - found.losses
    if gains.max() <= 0:
        raise DataError(
            f"no lambda gives a head that tells held-out images apart: the best loss is {found.losses.min():.3f} nats, "
            f"chance {found.chance:.3f}. Check that images and targets are paired, or use more images."
        )
    acceptable = gains >= (1 - tolerance) * gains.max()
    return max(value for value, accepted in zip(found.lambdas, acceptable, strict=True) if accepted)


def _symmetric_losses(cosines: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """`contrastive_loss` of cosines, under each logit scale.

    Args:
        cosines: (b, b) float32.
        scales: (h,) descending, each half of the one before.

    Returns:
        (h,) float64.
    """
    correct, losses = np.diagonal(cosines).astype(np.float64), np.zeros(len(scales))
    for axis in (0, 1):
        largest = cosines.max(axis=axis, keepdims=True)
        powers = np.exp(np.float32(scales[-1]) * (cosines - largest))
        for place in range(len(scales) - 1, -1, -1):
            log_sums = np.log(powers.sum(axis=axis)) + scales[place] * np.squeeze(largest, axis)
            losses[place] += np.mean(log_sums - scales[place] * correct) / 2
            # Doubling the scale squares the powers: one exponential serves all scales.
            powers *= powers
    return losses
