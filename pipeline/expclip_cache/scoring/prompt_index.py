"""Nearest-prompt search: a FAISS inner-product index over prompt embeddings, with or without a head.

Image features stay in CLIP's width d and are never projected to the LLM's width t: cos(W x, W t) = x'v / |W x| with
v = W'(W t / |W t|). |W x| is the same for every class, so d-wide inner products are enough to find the class.
Similarities also need |W x|, which follows from W'W. Both are exact up to rounding.
"""

from functools import cached_property

import numpy as np

from expclip_cache.prompts import Aggregation
from expclip_cache.scoring.blockwise_index import by_class

BLOCK = 4096
"""Images whose norms are computed at once."""

MIN_NORM = 1e-12
"""Lower bound of every norm, so that a zero vector has similarity 0 to everything."""


class PromptIndex:
    """Scores images against classes that are described by prompts.

    Aggregation over the prompts of a class: `mean` of the similarities (the reference; one inner product with the mean
    of the unit prompt vectors), `renorm_mean` (that mean scaled back to unit length, CLIP's own convention), or
    `nearest` (the largest similarity).

    Attributes:
        vectors: (c, d) float32, with which an image's inner product is its similarity times |W x|; with aggregation
            `nearest` (p, d), one for each prompt.
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
            classes: (p,) class of each prompt, 0 to c - 1, every class at least once.
            head: W (t, d), or None for plain CLIP.
            aggregation: see the class.
        """
        import faiss

        self._head = None if head is None else head.astype(np.float64)
        unit = self._unit_prompts(prompts)
        self._c = int(classes.max()) + 1
        if aggregation == "nearest":
            self._class_of_vector = np.asarray(classes)
            vectors = unit
        else:
            self._class_of_vector = np.arange(self._c)
            vectors = np.stack([unit[classes == label].mean(axis=0) for label in range(self._c)])
            if aggregation == "renorm_mean":
                vectors = _normalise(vectors)
        if self._head is not None:
            vectors = vectors @ self._head
        self.vectors = _contiguous(vectors)
        self._index = faiss.IndexFlatIP(self.vectors.shape[1])
        self._index.add(self.vectors)

    def classify(self, images: np.ndarray) -> np.ndarray:
        """The nearest class of each image: (n, d) raw features -> (n,) int64."""
        _, found = self._index.search(_contiguous(images), 1)
        return self._class_of_vector[found[:, 0]].astype(np.int64)

    def predict(self, images: np.ndarray, norms: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """The nearest class of each image and its similarity to each class, see `classify` and `similarities`."""
        return self.classify(images), self.similarities(images, norms)

    def similarities(self, images: np.ndarray, norms: np.ndarray | None = None) -> np.ndarray:
        """Similarity of each image to each class: (n, d) raw features -> (n, c) float32 in [-1, 1].

        Args:
            images: (n, d) raw features.
            norms: `self.norms(images)` if known already; an index of other prompts with the same head gives the same.
        """
        images = _contiguous(images)
        norms = self.norms(images) if norms is None else norms
        # Every similarity is needed, unsorted: a matrix product, not a search.
        values = images @ self.vectors.T / norms[:, None]
        if np.array_equal(self._class_of_vector, np.arange(self._c)):
            return values
        return by_class(values, self._class_of_vector, np.max)

    def _unit_prompts(self, prompts: np.ndarray) -> np.ndarray:
        """The projected prompts at unit length: (p, t), or (p, d) without a head, float64."""
        prompts = np.asarray(prompts, dtype=np.float64)
        return _normalise(prompts if self._head is None else prompts @ self._head.T)

    def norms(self, images: np.ndarray) -> np.ndarray:
        """Norms |W x|, or |x| without a head: (n, d) raw features -> (n,) float32."""
        images = _contiguous(images)
        norms = np.empty(len(images), dtype=np.float32)
        for start in range(0, len(images), BLOCK):
            block = slice(start, start + BLOCK)
            projected = images[block] if self.root is None else images[block] @ self.root
            norms[block] = np.sqrt(np.einsum("nd,nd->n", projected, projected))
        return np.maximum(norms, MIN_NORM)

    @cached_property
    def root(self) -> np.ndarray | None:
        """R (d, d) float32 with |R'x| = |W x|, from the eigenvectors of W'W in float64; None without a head.

        Whatever the rank of W, norms are wrong by at most about 1e-8 |W| |x|, the same error as rounding x and W to
        float32. A QR decomposition takes three times as long.
        """
        if self._head is None:
            return None
        values, vectors = np.linalg.eigh(self._head.T @ self._head)
        return (vectors * np.sqrt(np.maximum(values, 0))).astype(np.float32)


def _contiguous(features: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(features, dtype=np.float32)


def _normalise(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), MIN_NORM)
