"""From the features of a clip's frames to one feature: the poolings without parameters.

x_f in R^d is the raw feature of frame f, u_f = x_f / |x_f|.

- `first`: x_1.
- `mean`: sum_f x_f / F.
- `max`: the largest value of each of the d components.
- `attention`: sum_f a_f x_f with a = softmax_f(scale * cos(x_f, sum_g u_g)), where `scale` is the model's logit scale.

`attention` is the weighting of Bain et al., "A CLIP-Hitchhiker's Guide to Long Video Retrieval" (arXiv:2205.08508):
frames are weighted by a softmax over their scaled similarity to a query. There the query is the text. Here it is the
direction that the frames have in common, because a cached feature must not depend on a prompt: frames that agree with
the others count, and a frame that shows something else, such as a bad crop, hardly does.

Each vector of an image that has several is pooled by itself. A still image has one frame, which all of these return.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np


def first_frame(features: np.ndarray, scale: float) -> np.ndarray:
    """(n, f, q, d) float32 -> (n, q, d); the scale is not used."""
    return features[:, 0]


def mean_of_frames(features: np.ndarray, scale: float) -> np.ndarray:
    """(n, f, q, d) float32 -> (n, q, d); the scale is not used."""
    return features.mean(axis=1)


def max_of_frames(features: np.ndarray, scale: float) -> np.ndarray:
    """(n, f, q, d) float32 -> (n, q, d); the scale is not used."""
    return features.max(axis=1)


def attention_over_frames(features: np.ndarray, scale: float) -> np.ndarray:
    """(n, f, q, d) float32 -> (n, q, d).

    Args:
        scale: what cosines are multiplied by before the softmax.
    """
    unit = _unit(features)
    common = _unit(unit.sum(axis=1, keepdims=True))
    scores = scale * (unit * common).sum(axis=-1, keepdims=True)
    weights = np.exp(scores - scores.max(axis=1, keepdims=True))
    return (weights * features).sum(axis=1) / weights.sum(axis=1)


FramePooling = Callable[[np.ndarray, float], np.ndarray]
"""(n, f, q, d) float32 raw features and the logit scale -> (n, q, d) float32."""

FRAME_POOLINGS: Mapping[str, FramePooling] = MappingProxyType(
    {"first": first_frame, "mean": mean_of_frames, "max": max_of_frames, "attention": attention_over_frames}
)


def _unit(vectors: np.ndarray) -> np.ndarray:
    """With length 1; a zero vector stays zero."""
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.where(length == 0, 1, length)
