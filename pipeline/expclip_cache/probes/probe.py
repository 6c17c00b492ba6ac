"""A probe: multinomial logistic regression on features at unit length."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from expclip_cache.probes.splits import held_out
from expclip_cache.scoring import confusion, uar

if TYPE_CHECKING:
    from sklearn.linear_model import LogisticRegression

L2 = (100.0, 10.0, 1.0, 0.1, 0.01, 0.001, 0.0001)
"""The l2 strengths to choose from, the strongest first."""

HELD_OUT = 0.2
"""Share of the training items that the strength is chosen on."""

ITERATIONS = 10_000
"""Most of L-BFGS; scikit-learn's 100 are too few for a weak l2 term."""


def fit_probe(features: np.ndarray, labels: np.ndarray, l2: float) -> "LogisticRegression":
    """Fit a probe with scikit-learn's defaults: L-BFGS, classes not weighted, intercepts without an l2 term.

    Args:
        features: (n, d) float64.
        labels: (n,) integers, of two classes at least.
        l2: strength lambda of lambda / 2 |W|² + the sum over the items of their cross-entropy; 1 / C in scikit-learn.

    Raises:
        ImportError: scikit-learn is not installed.
    """
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=1 / l2, max_iter=ITERATIONS).fit(features, labels)


def predict(probe: "LogisticRegression", features: np.ndarray) -> np.ndarray:
    """(n,) int64 predictions for (n, d) features."""
    return np.asarray(probe.predict(features))


def can_train(labels: np.ndarray) -> bool:
    """Whether a strength can be chosen: two classes have two items."""
    return int((np.unique(labels, return_counts=True)[1] > 1).sum()) > 1


def choose_l2(features: np.ndarray, labels: np.ndarray, seed: Sequence[int]) -> float:
    """The strength with the best UAR on a stratified, held-out part of the training items; of equal ones the strongest.

    Args:
        features: (n, d) float64 of the training items.
        labels: (n,) integers, see `can_train`.
        seed: of the part.
    """
    tested = held_out(labels, HELD_OUT, seed)
    c = int(labels.max()) + 1

    def score(l2: float) -> float:
        probe = fit_probe(features[~tested], labels[~tested], l2)
        return uar(confusion(labels[tested], predict(probe, features[tested]), c))

    return max(L2, key=score)


def train_probe(features: np.ndarray, labels: np.ndarray, seed: Sequence[int]) -> tuple["LogisticRegression", float]:
    """A probe on all training items, with the strength that `choose_l2` chose on a part of them."""
    l2 = choose_l2(features, labels, seed)
    return fit_probe(features, labels, l2), l2
