"""Zero-shot predictions for one dataset: plain CLIP and every head, under every prompt type, from cached features."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from expclip_cache.base import CacheError, DataError
from expclip_cache.cache import FeatureCache
from expclip_cache.prompts import Aggregation, Prompt
from expclip_cache.scoring.class_index import class_index
from expclip_cache.scoring.metrics import Confusion, confusion
from expclip_cache.scoring.prompt_embeddings import PromptEmbeddings, stack_prompts


@dataclass(frozen=True)
class Predictions:
    """The predictions for one dataset.

    Attributes:
        classes: c class names; labels index them.
        rows: (n,) int64 ids of the scored rows; skipped rows are not among them.
        truth: (n,) int64 true classes.
        clip: prompt type -> (n,) int64 predictions of plain CLIP.
        expclip: prompt type -> name of a head -> (n,) int64 predictions with that head.
    """

    classes: tuple[str, ...]
    rows: np.ndarray
    truth: np.ndarray
    clip: dict[int, np.ndarray]
    expclip: dict[int, dict[str, np.ndarray]]

    def confusion(self, predicted: np.ndarray) -> Confusion:
        """(c, c) int64 confusion matrix of (n,) predictions; rows are the true class."""
        return confusion(self.truth, predicted, len(self.classes))


def predict_dataset(
    images: FeatureCache,
    embeddings: PromptEmbeddings,
    prompts: Sequence[Prompt],
    heads: Mapping[str, np.ndarray],
    aggregation: Aggregation,
) -> Predictions:
    """Classify every good row of a labelled cache.

    Args:
        images: cache of a labelled dataset.
        embeddings: of the prompts.
        prompts: prompts of the dataset's classes, see `expclip_cache.prompts.prompt_table`.
        heads: name -> W (t, d).
        aggregation: over the prompts of a class, see `PromptIndex`.

    Raises:
        DataError: the dataset has rows without a label.
        CacheError: a prompt has no embedding, or a head expects features of another width.
    """
    truth, features = labelled_features(images)
    types, conditioning = stack_types(images, embeddings, prompts), embeddings.conditioning
    clip = {
        kind: class_index(images.layout, *stacked, None, aggregation, conditioning).classify(features)
        for kind, stacked in types.items()
    }
    expclip: dict[int, dict[str, np.ndarray]] = {kind: {} for kind in types}
    for name, head in heads.items():
        refuse_other_width(name, head, images)
        for kind, stacked in types.items():
            expclip[kind][name] = class_index(images.layout, *stacked, head, aggregation, conditioning).classify(
                features
            )
    return Predictions(images.classes, images.good_rows, truth, clip, expclip)


def labelled_features(images: FeatureCache) -> tuple[np.ndarray, np.ndarray]:
    """The true classes (n,) int64 and rows (n, w) float32 of the good rows.

    Raises:
        DataError: the dataset has rows without a label.
        CacheError: a shard is missing or damaged.
    """
    refuse_unlabelled(images)
    rows = images.good_rows
    return images.labels[rows].astype(np.int64), images[rows].astype(np.float32)


def stack_types(
    images: FeatureCache, embeddings: Mapping[str, np.ndarray], prompts: Sequence[Prompt]
) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """Prompt type, ascending -> its prompts as a `PromptIndex` takes them, see `stack_prompts`."""
    return {
        kind: stack_prompts([prompt for prompt in prompts if prompt.type == kind], images.classes, embeddings)
        for kind in sorted({prompt.type for prompt in prompts})
    }


def refuse_other_width(name: str, head: np.ndarray, images: FeatureCache) -> None:
    """Make sure that a head W (t, d) takes features of this width d.

    Raises:
        CacheError: it does not.
    """
    if head.shape[1] != images.layout.width:
        raise CacheError(
            f"head {name}: takes features of width {head.shape[1]}, but {images} has width {images.layout.width}. "
            "Train the head on features of the same CLIP."
        )


def refuse_unlabelled(images: FeatureCache) -> None:
    """Make sure that a cache can be scored.

    Raises:
        DataError: it has no labels, or has rows without one.
    """
    if not images.classes:
        raise DataError(
            f"{images}: the test set has no labels, so it cannot be scored. Extract it from class folders with "
            "--layout image-folders."
        )
    if (images.labels[images.good_rows] < 0).any():
        raise DataError(f"{images}: has rows without a label; scoring needs a label for every row.")
