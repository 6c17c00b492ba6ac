"""Nearest-prompt search for items of several vectors: those of an image, those of a clip's frames, or both."""

import numpy as np
from typing_extensions import override

from expclip_cache.prompts import Aggregation
from expclip_cache.scoring.blockwise_index import BlockwiseIndex, by_class
from expclip_cache.scoring.prompt_index import PromptIndex

NUMBERS = 1 << 24
"""Numbers of the items that are compared at once, at most."""


class SeveralVectorsIndex(BlockwiseIndex):
    """Scores items of f * q vectors: of the q vectors of an image the best counts, and a clip has its frames' mean.

    The similarity of an item to a prompt t is mean_f max_q cos(W x_fq, W t), the rule of BLIP-2's image-text retrieval,
    whose query tokens are an image's vectors. Those to the prompts of a class are aggregated as in `PromptIndex`; with
    `renorm_mean` the class has a single vector, which takes the place of a prompt.
    """

    def __init__(
        self,
        vectors: int,
        prompts: np.ndarray,
        classes: np.ndarray,
        head: np.ndarray | None = None,
        aggregation: Aggregation = "mean",
    ):
        """Build the index.

        Args:
            vectors: q, of an image.
            prompts, classes, head, aggregation: see `PromptIndex`.
        """
        one_vector_a_class = aggregation == "renorm_mean"
        self._classes = np.arange(int(classes.max()) + 1) if one_vector_a_class else np.asarray(classes)
        of_each = classes if one_vector_a_class else np.arange(len(prompts))
        self._index = PromptIndex(prompts, of_each, head, aggregation if one_vector_a_class else "mean")
        self._vectors, self._best = vectors, aggregation == "nearest"
        self._width = self._index.vectors.shape[1]

    @override
    def norms(self, images: np.ndarray) -> np.ndarray:
        """Norms of the projected vectors: (n, f * q * d) raw features -> (n, f * q) float32."""
        return self._index.norms(images.reshape(-1, self._width)).reshape(len(images), -1)

    @override
    def _items_at_once(self, row_width: int) -> int:
        return NUMBERS // row_width

    @override
    def _similarities(self, images: np.ndarray, norms: np.ndarray) -> np.ndarray:
        of_vectors = self._index.similarities(images.reshape(-1, self._width), norms.reshape(-1))
        of_frames = of_vectors.reshape(len(images), -1, self._vectors, of_vectors.shape[1]).max(axis=2)
        return by_class(of_frames.mean(axis=1), self._classes, np.max if self._best else np.mean)
