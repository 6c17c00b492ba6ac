"""Similarities as percentages: CLIP's softmax over the classes."""

import numpy as np


def softmax_percent(similarities: np.ndarray, logit_scale: float) -> np.ndarray:
    """Softmax over the classes of `logit_scale * similarities`, in percent.

    Args:
        similarities: (n, c) cosines or means of cosines.
        logit_scale: exp of CLIP's parameter `logit_scale`.

    Returns:
        (n, c) float64; each row sums to 100.
    """
    logits = logit_scale * np.asarray(similarities, dtype=np.float64)
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return 100.0 * exponentials / exponentials.sum(axis=1, keepdims=True)
