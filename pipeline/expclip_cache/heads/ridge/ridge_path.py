"""The head in closed form: ridge regression from raw image features to targets at unit length, for every lambda.

Symbols: x (n, d) raw image features, y (n, t) targets at unit length, neither of them centred; m the mean eigenvalue
of X'X, which makes lambda independent of the features' scale. W minimises sum |W x - y|^2 + lambda m |W|^2:

    W = Y'X (X'X + lambda m I)^-1 = B diag(1 / (e + lambda m)) V',    X'X = V diag(e) V',    B = Y'X V

One eigendecomposition serves every lambda. Cosines between projected vectors need W'W (d, d) only, which costs d x d
per lambda once B'B is known: no head but the chosen one is written out in width t.
"""

from functools import cached_property

import numpy as np

from expclip_cache.base import DataError
from expclip_cache.heads.ridge.moments import Moments


class RidgePath:
    """The ridge heads of all lambdas.

    Attributes:
        mean_value: m, the mean eigenvalue of X'X.
        values: (d,) float64, eigenvalues e of X'X, ascending, none below zero.
        vectors: (d, d) float64, V, in columns.
        loadings: (t, d) float64, B.
    """

    def __init__(self, moments: Moments):
        """Decompose X'X.

        Raises:
            DataError: no rows were summed, all features or all targets are zero, or a feature is not finite.
        """
        xx, xy = moments.xx, moments.xy
        if not (np.isfinite(xx).all() and np.isfinite(xy).all()):
            raise DataError(
                f"the sums X'X or X'Y of {moments.rows} rows are not finite: a feature is NaN or infinite. "
                "Check the caches with `expclip-cache verify`."
            )
        self.mean_value = float(np.trace(xx)) / moments.width
        if self.mean_value <= 0 or not xy.any():
            raise DataError(f"the sums X'X or X'Y of {moments.rows} rows are zero: there is nothing to fit a head to.")
        values, self.vectors = np.linalg.eigh(xx)
        # X'X has no negative eigenvalues; those that eigh finds are rounding errors.
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
