"""The rule by which the items of a cache are compared with classes: it follows from what a row of the cache holds."""

from typing import Protocol

import numpy as np

from expclip_cache.base import CacheError
from expclip_cache.cache import RowLayout
from expclip_cache.prompts import Aggregation
from expclip_cache.scoring.conditioned_text import ConditionedTextIndex
from expclip_cache.scoring.prompt_index import PromptIndex
from expclip_cache.scoring.several_vectors import SeveralVectorsIndex
from expclip_cache.scoring.text_conditioning import TextConditioning


class ClassIndex(Protocol):
    """Scores items against classes that are described by prompts."""

    def classify(self, images: np.ndarray) -> np.ndarray:
        """The nearest class of each item: (n, w) raw rows of a cache -> (n,) int64."""
        ...

    def predict(self, images: np.ndarray, norms: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """The nearest class of each item, (n,) int64, and its similarity to each class, (n, c) float32 in [-1, 1].

        Args:
            images: (n, w) raw rows of a cache.
            norms: `self.norms(images)` if known already; an index of other prompts with the same head gives the same.
        """
        ...

    def norms(self, images: np.ndarray) -> np.ndarray:
        """Norms of the items' vectors after the head."""
        ...


def class_index(
    layout: RowLayout,
    prompts: np.ndarray,
    classes: np.ndarray,
    head: np.ndarray | None = None,
    aggregation: Aggregation = "mean",
    conditioning: TextConditioning | None = None,
) -> ClassIndex:
    """The index that compares rows of this layout.

    Args:
        prompts, classes, head, aggregation: see `PromptIndex`.
        conditioning: how an item changes the texts, if the layout says so.

    Raises:
        CacheError: the layout says so, and there is no `conditioning`.
    """
    if layout.comparison == "conditioned-text":
        if conditioning is None:
            raise CacheError("the prompts have no weights that condition them on an item. Encode the prompts again.")
        return ConditionedTextIndex(conditioning, prompts, classes, head, aggregation)
    if layout.row_width != layout.width:
        return SeveralVectorsIndex(layout.vectors, prompts, classes, head, aggregation)
    return PromptIndex(prompts, classes, head, aggregation)
