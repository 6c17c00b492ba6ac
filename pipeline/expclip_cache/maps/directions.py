"""What CLIP compares: the directions of images and class prompts, with or without a head.

With a head W these are directions of W x, of width t. R' x stands in for it, of width d, for R R' = W' W: all inner
products are the same, so all angles and distances are.
"""

import numpy as np

from expclip_cache.scoring import MIN_NORM, PromptIndex

ROUNDING = 1e-6
"""Length of what float32 may leave of the difference of two equal unit vectors."""


def directions(
    images: np.ndarray, prompts: np.ndarray, classes: np.ndarray, head: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors of images, and of each class the mean of its prompts' unit vectors.

    The inner product of the two is the similarity that scoring uses, the mean over the prompts of the class.

    Args:
        images: (n, d) raw features.
        prompts: (p, d) raw text features.
        classes: (p,) class of each prompt, 0 to c - 1, every class at least once.
        head: W (t, d), or None for plain CLIP.

    Returns:
        (n, d) and (c, d) float32.
    """
    root = PromptIndex(prompts, classes, head).root
    if root is not None:
        images, prompts = images @ root, prompts @ root
    unit = unit_length(prompts)
    return unit_length(images), np.stack([unit[classes == label].mean(axis=0) for label in range(classes.max() + 1)])


def centred(vectors: np.ndarray) -> np.ndarray:
    """(n, d) unit vectors minus their mean, again at unit length; one that is the mean up to rounding becomes zero."""
    moved = vectors - vectors.mean(axis=0)
    return unit_length(np.where(np.linalg.norm(moved, axis=1, keepdims=True) > ROUNDING, moved, 0))


def unit_length(vectors: np.ndarray) -> np.ndarray:
    """(n, d) at unit length."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), MIN_NORM)
