"""Measure heads on one test set under one prompt set: confusion matrices, and what the first seed of a head changes."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from expclip_cache.base import DataError
from expclip_cache.cache import FeatureCache, Json
from expclip_cache.heads import read_head, refuse_head_of_another_clip
from expclip_cache.prompts import Prompt, PromptSettings
from expclip_cache.scoring.changed_predictions import prediction_changes
from expclip_cache.scoring.metrics import Confusion
from expclip_cache.scoring.percentages import class_percentages
from expclip_cache.scoring.predictions import predict_dataset
from expclip_cache.scoring.results import HeadScores


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
    embeddings: Mapping[str, np.ndarray],
    table: Sequence[Prompt],
    settings: PromptSettings,
    missing: Sequence[HeadToScore],
    heads: Sequence[HeadToScore],
) -> tuple[Mapping[int, Confusion], list[HeadScores]]:
    """The confusion matrices of plain CLIP and of some heads; for first seeds also what they change.

    Args:
        images: image features of a labelled test set.
        embeddings: text -> (d,) raw text feature.
        table: the prompts of the set `settings`, of one or more types.
        missing: the heads to measure.
        heads: all heads, `missing` among them; the first of a name and teacher is the first seed.

    Returns:
        Prompt type -> (c, c) int64 of plain CLIP, and the scores of `missing` in their order.

    Raises:
        CacheError, DataError: see `predict_dataset`, `read_head` and `refuse_head_of_another_clip`.
    """
    names = {head: f"{head.teacher}/{head.head}/{head.seed}" for head in missing}
    weights = {name: head.weights for head, name in names.items()}
    for head in missing:
        refuse_head_of_another_clip(head.path, images.identity, str(images))
    predictions = predict_dataset(images, embeddings, table, weights, settings.aggregation)
    shown = [prompt for prompt in table if prompt.type == max(predictions.clip)]

    def percentages(head: HeadToScore | None) -> np.ndarray:
        return class_percentages(images, embeddings, shown, head and head.weights, settings.aggregation)

    clip = percentages(None) if any(is_first_seed(head, heads) for head in missing) else np.empty(0)
    measured = []
    for head, name in names.items():
        changes: Json = None
        if is_first_seed(head, heads):
            paths = images.paths(predictions.rows)
            changes = prediction_changes(predictions.truth, clip, percentages(head), paths)
        confusions = {kind: predictions.confusion(found[name]) for kind, found in predictions.expclip.items()}
        measured.append(HeadScores(head.teacher, head.head, head.seed, head.sha256, confusions, changes))
    return {kind: predictions.confusion(found) for kind, found in predictions.clip.items()}, measured


def is_first_seed(head: HeadToScore, heads: Sequence[HeadToScore]) -> bool:
    """Whether a head is the first of its name and teacher among all of them."""
    return next(other for other in heads if (other.teacher, other.head) == (head.teacher, head.head)) is head
