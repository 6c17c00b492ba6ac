"""What indexes have in common that compare a block of items at a time, and each item with every prompt."""

from abc import ABC, abstractmethod
from collections.abc import Callable

import numpy as np


class BlockwiseIndex(ABC):
    """Scores items against classes; the class with the highest similarity is the nearest."""

    def classify(self, images: np.ndarray) -> np.ndarray:
        """The nearest class of each item: (n, w) raw rows -> (n,) int64."""
        return self.predict(images)[0]

    def predict(self, images: np.ndarray, norms: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """The nearest class of each item and its similarity to each class, see `similarities`."""
        similarities = self.similarities(images, norms)
        return similarities.argmax(axis=1), similarities

    def similarities(self, images: np.ndarray, norms: np.ndarray | None = None) -> np.ndarray:
        """Similarity of each item to each class: (n, w) raw rows -> (n, c) float32 in [-1, 1].

        Args:
            norms: `self.norms(images)` if known already.
        """
        norms = self.norms(images) if norms is None else norms
        step = max(1, self._items_at_once(images.shape[1]))
        starts = range(0, max(1, len(images)), step)
        return np.concatenate([self._similarities(images[k : k + step], norms[k : k + step]) for k in starts])

    @abstractmethod
    def norms(self, images: np.ndarray) -> np.ndarray:
        """Norms of the items' vectors after the head: (n, w) raw rows -> (n, ...) float32."""

    @abstractmethod
    def _items_at_once(self, row_width: int) -> int:
        """How many items fit into memory together."""

    @abstractmethod
    def _similarities(self, images: np.ndarray, norms: np.ndarray) -> np.ndarray:
        """Those of a block of items."""


def by_class(of_prompts: np.ndarray, classes: np.ndarray, over: Callable[..., np.ndarray]) -> np.ndarray:
    """Similarities to prompts as similarities to classes: (n, p) -> (n, c).

    Args:
        classes: (p,) class of each prompt, 0 to c - 1, every class at least once.
        over: what aggregates the prompts of a class, such as `np.mean`; takes `axis`.
    """
    return np.stack([over(of_prompts[:, classes == label], axis=1) for label in range(int(classes.max()) + 1)], axis=1)
