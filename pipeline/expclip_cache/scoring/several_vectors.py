"""Nearest-prompt search for items of several vectors: those of an image, those of a clip's frames, or both."""

import numpy as np

from expclip_cache.prompts import Aggregation
from expclip_cache.scoring.prompt_index import PromptIndex

NUMBERS = 1 << 24
"""Numbers of the items that are compared at once, at most."""


class SeveralVectorsIndex:
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

    def classify(self, images: np.ndarray) -> np.ndarray:
        """The nearest class of each item: (n, f * q * d) raw features -> (n,) int64."""
        return self.predict(images)[0]

    def predict(self, images: np.ndarray, norms: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """The nearest class of each item and its similarity to each class, see `similarities`."""
        similarities = self.similarities(images, norms)
        return similarities.argmax(axis=1), similarities

    def similarities(self, images: np.ndarray, norms: np.ndarray | None = None) -> np.ndarray:
        """Similarity of each item to each class: (n, f * q * d) raw features -> (n, c) float32 in [-1, 1].

        Args:
            norms: `self.norms(images)` if known already.
        """
        norms = self.norms(images) if norms is None else norms
        return np.concatenate([self._similarities(images[block], norms[block]) for block in self._blocks(images)])

    def norms(self, images: np.ndarray) -> np.ndarray:
        """Norms of the projected vectors: (n, f * q * d) raw features -> (n, f * q) float32."""
        return self._index.norms(images.reshape(-1, self._width)).reshape(len(images), -1)

    def _similarities(self, images: np.ndarray, norms: np.ndarray) -> np.ndarray:
        of_vectors = self._index.similarities(images.reshape(-1, self._width), norms.reshape(-1))
        of_frames = of_vectors.reshape(len(images), -1, self._vectors, of_vectors.shape[1]).max(axis=2)
        of_prompts, over = of_frames.mean(axis=1), np.max if self._best else np.mean
        labels = range(int(self._classes.max()) + 1)
        return np.stack([over(of_prompts[:, self._classes == label], axis=1) for label in labels], axis=1)

    def _blocks(self, images: np.ndarray) -> list[slice]:
        step = max(1, NUMBERS // images.shape[1])
        return [slice(start, start + step) for start in range(0, max(1, len(images)), step)]
