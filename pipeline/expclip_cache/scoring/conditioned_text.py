"""Nearest-prompt search where the item changes the text: X-CLIP's prompts that are generated for each clip.

A class has another vector for every clip, so no index can hold it. What an item keeps are the vector of the clip and
the vectors of its patches, by which `TextConditioning` changes the prompts.
"""

import numpy as np

from expclip_cache.prompts import Aggregation
from expclip_cache.scoring.prompt_index import MIN_NORM, PromptIndex
from expclip_cache.scoring.text_conditioning import TextConditioning

NUMBERS = 1 << 22
"""Numbers of the texts of the items that are compared at once, at most; the layers need some times their memory."""


class ConditionedTextIndex:
    """Scores items against classes whose prompts the item changes; see `PromptIndex` for the aggregations.

    The similarity of an item with vector v to a prompt t is cos(W v, W t(item)).
    """

    def __init__(
        self,
        conditioning: TextConditioning,
        prompts: np.ndarray,
        classes: np.ndarray,
        head: np.ndarray | None = None,
        aggregation: Aggregation = "mean",
    ):
        """Compare with these prompts.

        Args:
            prompts, classes, head, aggregation: see `PromptIndex`.
        """
        self._conditioning, self._aggregation = conditioning, aggregation
        self._prompts, self._classes = np.asarray(prompts, dtype=np.float32), np.asarray(classes)
        # Of an unconditioned index only what belongs to the head is used: norms, and R with |R'x| = |W x|.
        self._of_head = PromptIndex(prompts, classes, head)
        self._width = self._prompts.shape[1]

    def classify(self, images: np.ndarray) -> np.ndarray:
        """The nearest class of each item: (n, (1 + m) d) raw rows -> (n,) int64."""
        return self.predict(images)[0]

    def predict(self, images: np.ndarray, norms: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """The nearest class of each item and its similarity to each class, see `similarities`."""
        similarities = self.similarities(images, norms)
        return similarities.argmax(axis=1), similarities

    def similarities(self, images: np.ndarray, norms: np.ndarray | None = None) -> np.ndarray:
        """Similarity of each item to each class: (n, (1 + m) d) raw rows -> (n, c) float32 in [-1, 1].

        Args:
            norms: `self.norms(images)` if known already.
        """
        norms = self.norms(images) if norms is None else norms
        step = max(1, NUMBERS // (self._prompts.size + images.shape[1]))
        starts = range(0, max(1, len(images)), step)
        return np.concatenate([self._similarities(images[k : k + step], norms[k : k + step]) for k in starts])

    def norms(self, images: np.ndarray) -> np.ndarray:
        """Norms of the items' vectors after the head: (n, (1 + m) d) raw rows -> (n,) float32."""
        return self._of_head.norms(images[:, : self._width])

    def _similarities(self, images: np.ndarray, norms: np.ndarray) -> np.ndarray:
        rows = images.astype(np.float32, copy=False).reshape(len(images), -1, self._width)
        texts = self._unit(self._projected(self._conditioning(self._prompts, rows[:, 1:])))
        items = self._projected(rows[:, 0]) / norms[:, None]
        labels = range(int(self._classes.max()) + 1)
        if self._aggregation == "renorm_mean":
            means = [self._unit(texts[:, self._classes == label].mean(axis=1)) for label in labels]
            return np.stack([(items * mean).sum(axis=1) for mean in means], axis=1)
        of_prompts = (texts @ items[:, :, None])[:, :, 0]
        over = np.max if self._aggregation == "nearest" else np.mean
        return np.stack([over(of_prompts[:, self._classes == label], axis=1) for label in labels], axis=1)

    def _projected(self, vectors: np.ndarray) -> np.ndarray:
        root = self._of_head.root
        return vectors if root is None else vectors @ root

    @staticmethod
    def _unit(vectors: np.ndarray) -> np.ndarray:
        return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), MIN_NORM)
