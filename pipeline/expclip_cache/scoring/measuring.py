"""Measure heads on one test set under one prompt set."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from expclip_cache.base import DataError
from expclip_cache.cache import FeatureCache
from expclip_cache.heads import read_head, refuse_head_of_another_clip
from expclip_cache.prompts import Prompt, PromptSettings
from expclip_cache.scoring.class_index import class_index
from expclip_cache.scoring.prediction_file import Prediction
from expclip_cache.scoring.predictions import labelled_features, refuse_other_width, stack_types
from expclip_cache.scoring.prompt_embeddings import PromptEmbeddings


@dataclass(frozen=True, eq=False)
class HeadToScore:
    """A head of the study; its file is read when it is first needed.

    Attributes:
        teacher: whose targets it learned from.
        head: its key in `heads:`.
        seed: None for a head without seeds.
        path: its file.
    """

    teacher: str
    head: str
    seed: int | None
    path: Path

    @cached_property
    def sha256(self) -> str:
        """Of its file, hex."""
        try:
            return hashlib.sha256(self.path.read_bytes()).hexdigest()
        except OSError as error:
            raise DataError(f"{self.path}: cannot be read ({error.strerror}). Run `dvc repro heads`.") from None

    @cached_property
    def weights(self) -> np.ndarray:
        """W (t, d) float32."""
        return read_head(self.path)


def measure(
    images: FeatureCache,
    embeddings: PromptEmbeddings,
    table: Sequence[Prompt],
    settings: PromptSettings,
    missing: Sequence[HeadToScore | None],
) -> Iterator[tuple[int, HeadToScore | None, Prediction]]:
    """What plain CLIP and some heads make of a test set.

    Args:
        images: image features of a labelled test set.
        embeddings: of the prompts.
        table: the prompts of the set `settings`, of one or more types.
        missing: the heads to measure; None is plain CLIP.

    Yields:
        Prompt type, head and predictions; for each head every type in turn.

    Raises:
        CacheError, DataError: see `predict_dataset`, `read_head` and `refuse_head_of_another_clip`.
    """
    _, features = labelled_features(images)
    types = stack_types(images, embeddings, table)
    for head in missing:
        if head:
            refuse_other_width(f"{head.teacher}/{head.head}/{head.seed}", head.weights, images)
            refuse_head_of_another_clip(head.path, images.identity, str(images))
        norms = None
        for kind, stacked in types.items():
            weights = None if head is None else head.weights
            index = class_index(images.layout, *stacked, weights, settings.aggregation, embeddings.conditioning)
            # |W x| costs most, and does not depend on the prompts.
            norms = index.norms(features) if norms is None else norms
            yield kind, head, Prediction(*index.predict(features, norms))


def is_first_seed(head: HeadToScore, heads: Sequence[HeadToScore]) -> bool:
    """Whether a head is the first of its name and teacher among all of them."""
    return next(other for other in heads if (other.teacher, other.head) == (head.teacher, head.head)) is head
