"""Temperature scaling (Guo et al. 2017, arXiv 1706.04599): one number, fitted to labels, that divides the logits."""

import numpy as np

RANGE = (0.01, 100.0)
"""Temperatures that are tried."""


def fitted_temperature(similarities: np.ndarray, logit_scale: float, truth: np.ndarray) -> float:
    """The temperature under which the true classes are most likely.

    There the mean similarity to the true class is the mean similarity to the class that softmax would draw. More
    confident is better if every answer is right, less confident if the answers are no better than chance; the
    temperature is then an end of `RANGE`.

    Args:
        similarities: (n, c).
        logit_scale: exp of CLIP's parameter `logit_scale`.
        truth: (n,) true classes.
    """
    from scipy.optimize import root_scalar

    logits = logit_scale * np.asarray(similarities, dtype=np.float64)
    logits -= logits.max(axis=1, keepdims=True)
    of_truth = logits[np.arange(len(truth)), truth].mean()

    def excess(log_temperature: float) -> float:
        """How much the drawn class is nearer than the true one; falls as the temperature rises."""
        weights = np.exp(logits / np.exp(log_temperature))
        return float(((weights * logits).sum(axis=1) / weights.sum(axis=1)).mean() - of_truth)

    low, high = np.log(RANGE)
    if excess(low) <= 0:
        return RANGE[0]
    if excess(high) >= 0:
        return RANGE[1]
    return float(np.exp(root_scalar(excess, bracket=(low, high), xtol=1e-10).root))
