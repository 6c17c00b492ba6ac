"""Nearest-prompt search where the item changes the text: X-CLIP's prompts that are generated for each clip.

A class has another vector for every clip, so no index can hold it. What an item keeps are the vector of the clip and
the vectors of its patches, by which `TextConditioning` changes the prompts.
"""

import numpy as np
from typing_extensions import override

from expclip_cache.prompts import Aggregation
from expclip_cache.scoring.blockwise_index import BlockwiseIndex, by_class
from expclip_cache.scoring.prompt_index import MIN_NORM, PromptIndex
from expclip_cache.scoring.text_conditioning import TextConditioning

NUMBERS = 1 << 22
"""Numbers of the texts of the items that are compared at once, at most; the layers need some times their memory."""


class ConditionedTextIndex(BlockwiseIndex):
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

    @override
    def norms(self, images: np.ndarray) -> np.ndarray:
        """Norms of the items' vectors after the head: (n, (1 + m) d) raw rows -> (n,) float32."""
        return self._of_head.norms(images[:, : self._width])

    @override
    def _items_at_once(self, row_width: int) -> int:
        return NUMBERS // (self._prompts.size + row_width)

    @override
    def _similarities(self, images: np.ndarray, norms: np.ndarray) -> np.ndarray:
        rows = images.astype(np.float32, copy=False).reshape(len(images), -1, self._width)
        texts = self._unit(self._projected(self._conditioning(self._prompts, rows[:, 1:])))
        items = self._projected(rows[:, 0]) / norms[:, None]
        if self._aggregation == "renorm_mean":
            labels = range(int(self._classes.max()) + 1)
            means = [self._unit(texts[:, self._classes == label].mean(axis=1)) for label in labels]
            return np.stack([(items * mean).sum(axis=1) for mean in means], axis=1)
        of_prompts = (texts @ items[:, :, None])[:, :, 0]
        return by_class(of_prompts, self._classes, np.max if self._aggregation == "nearest" else np.mean)

    def _projected(self, vectors: np.ndarray) -> np.ndarray:
        root = self._of_head.root
        return vectors if root is None else vectors @ root

    @staticmethod
    def _unit(vectors: np.ndarray) -> np.ndarray:
        return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), MIN_NORM)
