"""The head in closed form: ridge regression from raw image features to targets at unit length, for every lambda.

Symbols: x (n, d) raw image features, y (n, t) targets at unit length, neither of them centred; m the mean eigenvalue
of X'X, which makes lambda a number without a scale. W minimises sum |W x - y|^2 + lambda m |W|^2:

    W = Y'X (X'X + lambda m I)^-1 = B diag(1 / (e + lambda m)) V',    X'X = V diag(e) V',    B = Y'X V

so one eigendecomposition serves every lambda. Cosines between projected vectors need W'W (d, d) alone, which costs
d x d a lambda once B'B is there: nothing but the chosen head is ever written out in the width t.
"""

from collections.abc import Mapping
from functools import cached_property

import numpy as np

from expclip_cache.base import DataError
from expclip_cache.heads.ridge.moments import Moments


class RidgePath:
    """Ridge heads of all lambdas.

    Attributes:
        values: (d,) float64, eigenvalues e of X'X, ascending, none below zero.
        vectors: (d, d) float64, V, in columns.
        loadings: (t, d) float64, B.
    """

    def __init__(self, moments: Moments):
        """Decompose X'X.

        Raises:
            DataError: no row has been summed, or all features or all targets are zero.
        """
        xx, xy = moments.xx.value(), moments.xy.value()
        self.mean_value = float(np.trace(xx)) / moments.width
        if self.mean_value <= 0 or not xy.any():
            raise DataError(f"the sums X'X or X'Y of {moments.rows} rows are zero: there is nothing to fit a head to.")
        values, self.vectors = np.linalg.eigh(xx)
        # X'X has none below zero; what eigh finds there is rounding.
        self.values = np.maximum(values, 0)
        self.loadings = xy.T @ self.vectors

    @cached_property
    def loadings_squared(self) -> np.ndarray:
        """(d, d) float64, B'B."""
        return self.loadings.T @ self.loadings

    def shrinkage(self, relative_lambda: float) -> np.ndarray:
        """(d,) float64, 1 / (e + lambda m): what each eigenvector of X'X is scaled by."""
        return 1 / (self.values + relative_lambda * self.mean_value)

    def head(self, relative_lambda: float) -> np.ndarray:
        """W (t, d) float64.

        Args:
            relative_lambda: lambda > 0, relative to the mean eigenvalue of X'X.
        """
        return (self.loadings * self.shrinkage(relative_lambda)) @ self.vectors.T


def stack_heads(heads: Mapping[str, np.ndarray], weights: Mapping[str, float]) -> np.ndarray:
    """One head of several teachers: their heads one above the other, each times the root of its weight.

    Ridge regression to targets side by side, (sqrt(a) y, sqrt(b) y'), falls apart into one regression a teacher, so
    this is the closed form for all of them at once. The squared lengths of projected vectors, and their inner
    products, are the weighted sums of the teachers'.

    Args:
        heads: teacher -> W (t_k, d); different widths t_k are fine.
        weights: teacher -> weight > 0.

    Returns:
        W (sum of t_k, d), in the order of `heads`.

    Raises:
        DataError: a teacher has no weight or the other way round, or a weight is not positive.
    """
    if set(heads) != set(weights) or min(weights.values(), default=0) <= 0:
        raise DataError(f"expected one positive weight for each of {sorted(heads)}, found {dict(weights)}.")
    return np.concatenate([np.sqrt(weights[name]) * head for name, head in heads.items()])
