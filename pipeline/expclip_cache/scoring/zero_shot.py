"""Score cached features with heads from anywhere: no training, no params.yaml, no encoder."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from expclip_cache.base import DataError, SettingsError
from expclip_cache.cache import FeatureCache
from expclip_cache.heads import read_head, refuse_head_of_another_clip
from expclip_cache.prompts import TYPES, Prompt, PromptSettings, prompt_table
from expclip_cache.scoring.metrics import Scores, scores
from expclip_cache.scoring.predictions import Predictions, predict_dataset, refuse_unlabelled
from expclip_cache.scoring.prompt_embeddings import embeddings_by_text, refuse_other_clip

DEFAULT_PROMPTS = PromptSettings()


@dataclass(frozen=True)
class ZeroShotScores:
    """The scores of one test set under one prompt type.

    Attributes:
        prompt_type: 1 to 5, or 0 for prompts from a file.
        skipped: rows of the cache without features; they are not scored.
        clip: plain CLIP.
        heads: name of a head -> its scores.
        predictions: what the scores are computed from, under this type and others.
    """

    prompt_type: int
    skipped: int
    clip: Scores
    heads: Mapping[str, Scores]
    predictions: Predictions = field(repr=False, compare=False)


def score(
    images: FeatureCache | Path | str,
    prompts: FeatureCache | Path | str,
    heads: Mapping[str, np.ndarray | Path | str] | None = None,
    settings: PromptSettings = DEFAULT_PROMPTS,
    *,
    every_type: bool = False,
) -> list[ZeroShotScores]:
    """Score a labelled cache zero-shot, with plain CLIP and with each head.

    Args:
        images: cache of a labelled test set, opened, or its folder or address; features of width d.
        prompts: cache of prompt embeddings from the same CLIP, likewise.
        heads: name -> W (t, d), or the safetensors file that holds it. None scores plain CLIP alone.
        settings: prompt set, prompt types and aggregation; by default the reference's set, types 2 and 5, mean.
        every_type: score every type whose prompts are all in the cache, instead of `settings.types`.

    Returns:
        One item per prompt type, ascending.

    Raises:
        CacheError: a cache cannot be used, the two come from different CLIPs, a prompt is missing, or a head expects
            features of another width.
        DataError: a head cannot be read or belongs to another CLIP, or the images have no labels.
        SettingsError: the prompt set has no prompts for these classes, or `every_type` finds no complete type.
    """
    images, prompts = _opened(images), _opened(prompts)
    refuse_unlabelled(images)
    refuse_other_clip(images, prompts)
    embeddings = embeddings_by_text(prompts)
    table = prompt_table(settings.set, TYPES if every_type else settings.types, images.classes)
    if every_type:
        table = _complete_types(table, embeddings.keys())
        if not table:
            raise SettingsError(
                f"{prompts}: expected all prompts of at least one type of the set {settings.set!r} for the classes "
                f"{', '.join(images.classes)}; no type is complete. Encode the prompts first."
            )
    matrices = {name: _head_matrix(name, head, images) for name, head in (heads or {}).items()}
    predictions = predict_dataset(images, embeddings, table, matrices, settings.aggregation)
    return [
        ZeroShotScores(
            kind,
            len(images.skipped),
            scores(predictions.confusion(predicted)),
            {name: scores(predictions.confusion(found)) for name, found in predictions.expclip[kind].items()},
            predictions,
        )
        for kind, predicted in predictions.clip.items()
    ]


def _opened(cache: FeatureCache | Path | str) -> FeatureCache:
    return cache if isinstance(cache, FeatureCache) else FeatureCache(cache)


def _head_matrix(name: str, head: np.ndarray | Path | str, images: FeatureCache) -> np.ndarray:
    """W (t, d), read from its file if it is not a matrix yet."""
    if not isinstance(head, np.ndarray):
        weights = read_head(Path(head))
        refuse_head_of_another_clip(Path(head), images.identity, str(images))
        return weights
    if head.ndim != 2:
        raise DataError(f"head {name}: expected a matrix (t, d), found an array of shape {head.shape}.")
    return head


def _complete_types(table: Sequence[Prompt], texts: Collection[str]) -> tuple[Prompt, ...]:
    """The prompts of those types whose prompts are all in `texts`."""
    incomplete = {prompt.type for prompt in table if prompt.text not in texts}
    return tuple(prompt for prompt in table if prompt.type not in incomplete)
