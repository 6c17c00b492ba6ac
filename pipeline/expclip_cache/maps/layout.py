"""Points in the plane by t-SNE."""

import numpy as np

from expclip_cache.base import DataError

PERPLEXITY = 30.0
"""Of t-SNE, about the number of neighbours that each point is kept near; scikit-learn's default."""


def layout(vectors: np.ndarray, seed: int) -> np.ndarray:
    """Place vectors in the plane so that near ones stay near.

    Args:
        vectors: (m, d), at least three. The perplexity is 30, or a third of the other points if these are few.
        seed: the same seed gives the same places on the same machine; between machines they differ.

    Returns:
        (m, 2) float64.

    Raises:
        DataError: all vectors are the same.
        ImportError: scikit-learn is not installed.
    """
    from sklearn.manifold import TSNE

    if not np.ptp(vectors, axis=0).any():
        raise DataError(
            f"expected different features, found {len(vectors)} that are the same; there is no map of them."
        )
    perplexity = min(PERPLEXITY, (len(vectors) - 1) / 3)
    return TSNE(perplexity=perplexity, init="pca", random_state=seed).fit_transform(vectors).astype(np.float64)
