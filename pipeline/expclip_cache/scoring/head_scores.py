"""Score cached features with heads from anywhere: no training, no params.yaml, no encoder."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from expclip_cache.base import CacheError, SettingsError
from expclip_cache.cache import FeatureCache, differences
from expclip_cache.heads import read_head
from expclip_cache.prompts import TYPES, Prompt, PromptSettings, prompt_table
from expclip_cache.scoring.metrics import Scores, scores
from expclip_cache.scoring.predictions import embeddings_by_text, predict_dataset


@dataclass(frozen=True)
class HeadScores:
    """One test set under one prompt type; `skipped` rows could not be read and are not scored.

    Attributes:
        heads: name of the head's file -> its scores.
    """

    prompt_type: int
    skipped: int
    clip: Scores
    heads: Mapping[str, Scores]


def score_cache(
    images: Path | str, prompts: Path | str, heads: Sequence[Path], how: PromptSettings, every_type: bool = False
) -> list[HeadScores]:
    """Score one labelled cache with plain CLIP and each head.

    Args:
        images: folder or address of the cache of a labelled test set.
        prompts: cache of prompts, encoded with the same CLIP.
        heads: safetensors files; each goes by its name without the suffix, or by its path where two share that.
        how: prompt set, types and aggregation.
        every_type: take every type whose prompts the cache has, instead of `how.types`.

    Returns:
        One item per prompt type, ascending.

    Raises:
        CacheError: a cache cannot be used, the two come from different CLIPs, or prompts or widths do not fit.
        DataError: a head cannot be read, or the images have no labels.
        SettingsError: prompts that are not to be had for these classes, or none of them are in the cache.
    """
    faces, texts = FeatureCache(images), FeatureCache(prompts)
    changed = differences(faces.identity.encoder, texts.identity.encoder)
    if changed:
        raise CacheError(
            f"{images} and {prompts} were made with different CLIPs, so their features do not compare:\n  "
            + "\n  ".join(changed)
            + "\nEncode both with the same one."
        )
    embeddings = embeddings_by_text(texts)
    asked = how.set, TYPES if every_type else how.types, faces.classes
    table = prompt_table(*asked)
    if every_type:
        table = _encoded(table, embeddings.keys())
        if not table:
            raise SettingsError(
                f"{prompts}: has not all prompts of any type of the set {how.set!r}. Encode them first."
            )
    named = {name: read_head(path) for name, path in zip(short_names(heads), heads, strict=True)}
    predictions = predict_dataset(faces, embeddings, table, named, how.aggregation)
    return [
        HeadScores(
            kind,
            len(faces.skipped),
            scores(predictions.confusion(predicted)),
            {name: scores(predictions.confusion(found)) for name, found in predictions.expclip[kind].items()},
        )
        for kind, predicted in predictions.clip.items()
    ]


def _encoded(table: Sequence[Prompt], texts: Collection[str]) -> tuple[Prompt, ...]:
    """The prompts of the types that are there as a whole."""
    incomplete = {prompt.type for prompt in table if prompt.text not in texts}
    return tuple(prompt for prompt in table if prompt.type not in incomplete)


def short_names(paths: Sequence[str | Path]) -> list[str]:
    """The last part of each path without its suffix; the whole path where two share that.

    >>> short_names(["heads/a.safetensors", "heads/b.safetensors", "other/b.safetensors"])
    ['a', 'heads/b.safetensors', 'other/b.safetensors']
    """
    stems = [Path(path).stem for path in paths]
    return [stem if stems.count(stem) == 1 else str(path) for stem, path in zip(stems, paths, strict=True)]
