"""Choosing lambda without labels: the contrastive loss of every ridge head on held-out, unlabelled faces.

The rule: the largest lambda whose held-out gain over chance is within a tolerance of the best. Images alone would take
a smaller lambda than is good for texts, which lie mostly in directions that no image uses and that a small lambda
blows up; so lambda is taken as large as the images allow (docs/closed-form-head.md). Labels are never seen.

The logit scale is tuned along: CLIP's own suits its own cosines and makes those of a ridge head overconfident, so that
its loss says more about calibration than about telling faces apart. One scale serves all lambdas.

Everything happens in CLIP's width d: with p = V'x and q = B'y, the inner product of Wx and y is p' S q and the squared
length of Wx is p' S B'B S p, where S = diag(1 / (e + lambda m)). p and q are computed once for all lambdas.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from expclip_cache.base import DataError
from expclip_cache.heads.ridge.ridge_path import RidgePath

HALVINGS = 6
"""Logit scales tried: CLIP's, a half of it, a quarter, ..."""


@dataclass(frozen=True)
class HeldOutLosses:
    """Losses on held-out faces.

    Attributes:
        lambdas: k values.
        losses: (k,) float64, in nats, under the logit scale that suits the best of them.
        logit_scale: that scale.
        chance: loss of a head that tells nothing apart, log of the batch size.
    """

    lambdas: tuple[float, ...]
    losses: np.ndarray
    logit_scale: float
    chance: float


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
) -> HeldOutLosses:
    """Contrastive loss of each lambda's head, the loss the contrastive fit trains on.

    Args:
        path: fitted on other rows.
        batches: (images (b, d) raw, targets (b, t) raw), one after the other; memory is that of one batch.
        logit_scale: s, the factor itself; the largest that is tried.

    Raises:
        DataError: there is no held-out row.
    """
    scales = logit_scale / 2.0 ** np.arange(HALVINGS)
    totals, chance, rows = np.zeros((HALVINGS, len(lambdas))), 0.0, 0
    # Scaled to order one, which no cosine sees, so that float32 does: twice as fast, losses good to about 1e-4.
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
        raise DataError("no row is held out, so lambda cannot be chosen. Use more faces or ridge.choose: fixed.")
    best = totals.min(axis=1).argmin()
    return HeldOutLosses(tuple(lambdas), totals[best] / rows, float(scales[best]), chance / rows)


def choose_lambda(found: HeldOutLosses, tolerance: float) -> float:
    """The largest lambda that keeps all but a share `tolerance` of the best gain over chance.

    Raises:
        DataError: no head tells held-out faces apart better than chance.

    >>> choose_lambda(HeldOutLosses((0.01, 0.1, 1.0), np.array([2.0, 2.01, 2.3]), 12.5, 5.0), 0.03)
    0.1
    """
    gains = found.chance - found.losses
    if gains.max() <= 0:
        raise DataError(
            f"no lambda gives a head that tells held-out faces apart: the best loss is {found.losses.min():.3f} nats, "
            f"chance {found.chance:.3f}. The targets do not follow from the images, or there are too few faces."
        )
    good = gains >= (1 - tolerance) * gains.max()
    return max(value for value, fine in zip(found.lambdas, good, strict=True) if fine)


def _symmetric_losses(cosines: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """Mean cross-entropy of rows and columns, each asked to find its own partner, under each scale.

    Args:
        cosines: (b, b) float32.
        scales: (h,) descending, each half of the one before.

    Returns:
        (h,) float64.
    """
    partner, losses = np.diagonal(cosines).astype(np.float64), np.zeros(len(scales))
    for axis in (0, 1):
        largest = cosines.max(axis=axis, keepdims=True)
        powers = np.exp(np.float32(scales[-1]) * (cosines - largest))
        for place in range(len(scales) - 1, -1, -1):
            log_sums = np.log(powers.sum(axis=axis)) + scales[place] * np.squeeze(largest, axis)
            losses[place] += np.mean(log_sums - scales[place] * partner) / 2
            # Twice the scale is the square: one exponential serves all scales.
            powers *= powers
    return losses
