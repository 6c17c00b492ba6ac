"""Ridge heads by `numpy.linalg.lstsq`, and features to fit them on."""

import numpy as np


def features(rows: int, d: int, t: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Raw features with a mean, unequal variances and a linear relation, as encoders give them."""
    random = np.random.default_rng(seed)
    X = random.normal(size=(rows, d)) * np.geomspace(1, 0.05, d) + random.normal(size=d)
    Y = X @ random.normal(size=(d, t)) + random.normal(size=(rows, t)) + 3 * random.normal(size=t)
    return X, Y


def witness(X, Y, relative_lambda):
    """W (t, d) by least squares on [X; sqrt(lambda m) I] W' = [Y; 0]: no moments, no eigenvalues."""
    d = X.shape[1]
    Y = Y / np.linalg.norm(Y, axis=1, keepdims=True)
    m = (X**2).sum() / d
    A = np.concatenate([X, np.sqrt(relative_lambda * m) * np.eye(d)])
    B = np.concatenate([Y, np.zeros((d, Y.shape[1]))])
    return np.linalg.lstsq(A, B, rcond=None)[0].T


def relative_error(found, expected) -> float:
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))
