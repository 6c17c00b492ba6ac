"""Similarities as percentages: CLIP's softmax over the classes."""

from collections.abc import Mapping, Sequence

import numpy as np

from expclip_cache.cache import FeatureCache
from expclip_cache.prompts import Aggregation, Prompt
from expclip_cache.scoring.prompt_embeddings import stack_prompts
from expclip_cache.scoring.prompt_index import PromptIndex


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


def class_percentages(
    images: FeatureCache,
    embeddings: Mapping[str, np.ndarray],
    prompts: Sequence[Prompt],
    head: np.ndarray | None,
    aggregation: Aggregation,
) -> np.ndarray:
    """Percentages of every class for every good row of a cache.

    Args:
        images: cache with n good rows of width d and c classes.
        embeddings: text -> (d,) raw text feature.
        prompts: prompts of one type for the cache's classes.
        head: W (t, d), or None for plain CLIP.
        aggregation: over the prompts of a class, see `PromptIndex`.

    Returns:
        (n, c) float64, see `softmax_percent`.

    Raises:
        CacheError: a prompt has no embedding, or the features are not a CLIP's.
    """
    vectors, labels = stack_prompts(prompts, images.classes, embeddings)
    features = images[images.good_rows].astype(np.float32)
    similarities = PromptIndex(vectors, labels, head, aggregation).similarities(features)
    return softmax_percent(similarities, images.logit_scale)
