"""Nearest-prompt search for items of several vectors: those of an image, those of a clip's frames, or both."""

import numpy as np

from expclip_cache.scoring.prompt_index import PromptIndex

NUMBERS = 1 << 24
"""Numbers of the items that are compared at once, at most."""


class SeveralVectorsIndex:
    """Scores items of f * q vectors: of the q vectors of an image the best counts, and a clip has its frames' mean.

    Each vector x is compared with a class as `PromptIndex` compares images. The similarity of an item is
    mean_f max_q cos(W x_fq, W t), the rule of BLIP-2's image-text retrieval, whose query tokens are an image's vectors.
    """

    def __init__(self, index: PromptIndex, vectors: int):
        """Compare by this index.

        Args:
            vectors: q, of an image.
        """
        self._index, self._vectors = index, vectors
        self._width = index.vectors.shape[1]

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
        return of_frames.mean(axis=1)

    def _blocks(self, images: np.ndarray) -> list[slice]:
        step = max(1, NUMBERS // images.shape[1])
        return [slice(start, start + step) for start in range(0, max(1, len(images)), step)]
