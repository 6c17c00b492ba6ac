"""Nearest-prompt search: a FAISS inner-product index over prompt embeddings, projected by the head or plain.

cos(W x, W t) = cos(R x, R t) where W = Q R, since Q keeps lengths and angles: everything here happens in CLIP's
width d, never in the LLM's t. Exact up to rounding.
"""

from typing import Literal

import numpy as np

Aggregation = Literal["mean", "renorm_mean", "nearest"]


class PromptIndex:
    """Scores images against classes that are described by prompts.

    Aggregations over a class's prompts: `mean` of their similarities (the reference; one inner product with the mean
    of the unit prompt vectors), `renorm_mean` (that mean brought back to unit length, CLIP's own convention),
    `nearest` (the largest similarity).
    """

    def __init__(
        self,
        prompts: np.ndarray,
        classes: np.ndarray,
        head: np.ndarray | None = None,
        aggregation: Aggregation = "mean",
    ):
        """Build the index.

        Args:
            prompts: (p, d) raw text features.
            classes: (p,) class of each prompt, 0 ... c - 1, every class at least once.
            head: W (t, d), or None for plain CLIP.
            aggregation: see the class.
        """
        import faiss

        self._root = None if head is None else np.linalg.qr(head.astype(np.float64), mode="r")
        unit = self._unit(prompts)
        count = int(classes.max()) + 1
        if aggregation == "nearest":
            self._owner = np.asarray(classes)
            vectors = unit
        else:
            self._owner = np.arange(count)
            vectors = np.stack([unit[classes == label].mean(axis=0) for label in range(count)])
            if aggregation == "renorm_mean":
                vectors = _normalise(vectors)
        self._count = count
        self._index = faiss.IndexFlatIP(vectors.shape[1])
        self._index.add(vectors)

    def classify(self, images: np.ndarray) -> np.ndarray:
        """The nearest class of each image. (n, d) raw features -> (n,) int64."""
        _, found = self._index.search(self._unit(images), 1)
        return self._owner[found[:, 0]].astype(np.int64)

    def similarities(self, images: np.ndarray) -> np.ndarray:
        """Similarity of each image to each class. (n, d) raw features -> (n, c) float32, within [-1, 1]."""
        values, found = self._index.search(self._unit(images), self._index.ntotal)
        best = np.full((len(images), self._count), -np.inf, dtype=np.float32)
        np.maximum.at(best, (np.arange(len(images))[:, None], self._owner[found]), values)
        return best

    def _unit(self, features: np.ndarray) -> np.ndarray:
        """Project by R where there is a head, then to unit length; (n, k) float32, contiguous."""
        features = np.asarray(features, dtype=np.float32)
        if self._root is not None:
            features = features @ self._root.T.astype(np.float32)
        return _normalise(features)


def _normalise(vectors: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.ascontiguousarray(vectors / np.maximum(lengths, 1e-12), dtype=np.float32)
