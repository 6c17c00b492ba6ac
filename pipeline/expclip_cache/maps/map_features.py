"""Cached features -> a map of one test set."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from expclip_cache.base import DataError, Reporter, SettingsError
from expclip_cache.cache import FeatureCache
from expclip_cache.heads import read_head, refuse_head_of_another_clip
from expclip_cache.maps.feature_map import FeatureMap
from expclip_cache.maps.neighbours import own_class_chance
from expclip_cache.maps.panels import Comparable, draw_panel
from expclip_cache.maps.sample import stratified_sample
from expclip_cache.maps.settings import MapSettings
from expclip_cache.prompts import Prompt, PromptSettings, prompt_table
from expclip_cache.scoring import (
    embeddings_by_text,
    predict_dataset,
    refuse_other_clip,
    refuse_unlabelled,
    stack_prompts,
)

NEIGHBOURS = 10
"""Nearest neighbours that are counted; of few items, no more than half of the others."""

FEWEST = 3
"""Items that a map needs."""


@dataclass(frozen=True)
class MapInputs:
    """What a map is made from.

    Attributes:
        name: of the test set.
        images: image features of a labelled test set.
        prompts: cache of prompt embeddings from the same CLIP.
        heads: name -> file of a head.
        settings: prompt set and aggregation; of `types`, the highest whose prompts are all in the cache is drawn.
    """

    name: str
    images: FeatureCache
    prompts: FeatureCache
    heads: Mapping[str, Path]
    settings: PromptSettings


def map_features(inputs: MapInputs, settings: MapSettings, report: Reporter) -> FeatureMap:
    """Draw a test set with plain CLIP and with each head.

    Images and class prompts are placed together. CLIP keeps images and texts apart, in two narrow cones: drawn as they
    are, all prompts fall on one point. So the mean of the images is subtracted from the images, that of the class
    prompts from the prompts, and both are scaled to unit length.

    Raises:
        CacheError: a cache is damaged, the two come from different CLIPs, a prompt has no embedding, or a head expects
            features of another width.
        DataError: the images have no labels, too few have features, all features are the same, or a head cannot be read
            or belongs to another CLIP.
        SettingsError: the prompt set has no prompts for these classes, or no type is complete.
        ImportError: scikit-learn is not installed.
    """
    images = inputs.images
    refuse_unlabelled(images)
    refuse_other_clip(images, inputs.prompts)
    if len(images.good_rows) < FEWEST:
        raise DataError(f"{images}: expected at least {FEWEST} items with features, found {len(images.good_rows)}.")
    embeddings = embeddings_by_text(inputs.prompts)
    table = _highest_complete_type(inputs, embeddings.keys())
    heads = {name: _read(path, images) for name, path in inputs.heads.items()}
    predictions = predict_dataset(images, embeddings, table, heads, inputs.settings.aggregation)
    (kind,) = predictions.clip
    predicted = {"": predictions.clip[kind], **predictions.expclip[kind]}
    shown = stratified_sample(predictions.truth, settings.items, settings.seed)
    test_set = Comparable(
        features=images.item_vectors(predictions.rows).astype(np.float32),
        truth=predictions.truth,
        prompts=stack_prompts(table, images.classes, embeddings),
        shown=shown,
        neighbours=min(NEIGHBOURS, (len(shown) - 1) // 2),
    )
    panels = []
    with report.bar(f"map of {inputs.name}", len(predicted), "panel") as bar:
        for name, answers in predicted.items():
            try:
                panels.append(draw_panel(test_set, name, heads.get(name), answers, settings.seed))
            except DataError as error:
                raise DataError(f"{images}: {error}") from None
            bar.advance(1)
    return FeatureMap(
        name=inputs.name,
        classes=images.classes,
        prompt_type=kind,
        scored=len(predictions.rows),
        skipped=len(images.skipped),
        rows=predictions.rows[shown],
        paths=tuple(images.paths(predictions.rows[shown])),
        truth=predictions.truth[shown],
        neighbours=test_set.neighbours,
        chance=own_class_chance(predictions.truth[shown]),
        panels=tuple(panels),
    )


def _highest_complete_type(inputs: MapInputs, texts: Collection[str]) -> Sequence[Prompt]:
    """The prompts of the highest type whose prompts are all in the cache."""
    settings = inputs.settings
    for kind in sorted(settings.types, reverse=True):
        table = prompt_table(settings.set, (kind,), inputs.images.classes)
        if all(prompt.text in texts for prompt in table):
            return table
    raise SettingsError(
        f"{inputs.prompts}: expected all prompts of the set {settings.set!r} for the classes "
        f"{', '.join(inputs.images.classes)}, of type {' or '.join(map(str, sorted(settings.types)))}; no type is "
        "complete. Encode the prompts first."
    )


def _read(path: Path, images: FeatureCache) -> np.ndarray:
    """W (t, d)."""
    weights = read_head(path)
    refuse_head_of_another_clip(path, images.identity, str(images))
    return weights
