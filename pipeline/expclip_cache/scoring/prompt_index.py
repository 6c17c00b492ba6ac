"""Nearest-prompt search: a FAISS inner-product index over prompt embeddings, seen through the head or plain.

Images never leave CLIP's width d for the LLM's t. cos(W x, W t) = x'v / |W x| with v = W'(W t / |W t|), so a class is
found by d-wide inner products alone: |W x| is the same for every class. Only similarities need it, and it follows from
W'W. Exact up to rounding.
"""

from functools import cached_property
from typing import Literal

import numpy as np

Aggregation = Literal["mean", "renorm_mean", "nearest"]

BLOCK = 4096
"""Images that are projected at once, where only their lengths are wanted."""

SHORTEST = 1e-12
"""Lengths are taken for at least this, so that a zero vector has similarity 0 to everything."""


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

        self._head = None if head is None else head.astype(np.float64)
        unit = self._unit(prompts)
        self._count = int(classes.max()) + 1
        if aggregation == "nearest":
            self._owner = np.asarray(classes)
            vectors = unit
        else:
            self._owner = np.arange(self._count)
            vectors = np.stack([unit[classes == label].mean(axis=0) for label in range(self._count)])
            if aggregation == "renorm_mean":
                vectors = _normalise(vectors)
        if self._head is not None:
            vectors = vectors @ self._head
        self._vectors = _contiguous(vectors)
        self._index = faiss.IndexFlatIP(self._vectors.shape[1])
        self._index.add(self._vectors)

    def classify(self, images: np.ndarray) -> np.ndarray:
        """The nearest class of each image. (n, d) raw features -> (n,) int64."""
        _, found = self._index.search(_contiguous(images), 1)
        return self._owner[found[:, 0]].astype(np.int64)

    def similarities(self, images: np.ndarray) -> np.ndarray:
        """Similarity of each image to each class. (n, d) raw features -> (n, c) float32, within [-1, 1]."""
        images = _contiguous(images)
        # All of them are wanted, in no order: that is a product and no search.
        values = images @ self._vectors.T / self._lengths(images)[:, None]
        if np.array_equal(self._owner, np.arange(self._count)):
            return values
        return np.stack([values[:, self._owner == label].max(axis=1) for label in range(self._count)], axis=1)

    def _unit(self, prompts: np.ndarray) -> np.ndarray:
        """The prompts as the head sees them, at unit length; (p, t) or, without a head, (p, d) float64."""
        prompts = np.asarray(prompts, dtype=np.float64)
        return _normalise(prompts if self._head is None else prompts @ self._head.T)

    def _lengths(self, images: np.ndarray) -> np.ndarray:
        """(n,) float32 lengths of the images as the head sees them."""
        lengths = np.empty(len(images), dtype=np.float32)
        for start in range(0, len(images), BLOCK):
            block = slice(start, start + BLOCK)
            seen = images[block] if self._root is None else images[block] @ self._root
            lengths[block] = np.sqrt(np.einsum("nd,nd->n", seen, seen))
        return np.maximum(lengths, SHORTEST)

    @cached_property
    def _root(self) -> np.ndarray | None:
        """R (d, d) float32 with |R'x| = |W x|, from the eigenvectors of W'W in float64.

        Whatever the rank of W, lengths are wrong by at most about 1e-8 |W| |x|, which is what the rounding of x and W
        to float32 costs anyway. A QR decomposition takes three times as long.
        """
        if self._head is None:
            return None
        values, vectors = np.linalg.eigh(self._head.T @ self._head)
        return (vectors * np.sqrt(np.maximum(values, 0))).astype(np.float32)


def _contiguous(features: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(features, dtype=np.float32)


def _normalise(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), SHORTEST)
