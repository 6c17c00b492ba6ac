"""What the maps of a study are made from."""

from collections.abc import Sequence
from pathlib import Path

from expclip_cache.cache import FeatureCache
from expclip_cache.heads import head_path, head_seeds
from expclip_cache.maps import MapInputs
from expclip_cache.settings.paths import head_folder, image_features, prompt_features
from expclip_cache.settings.settings import Settings, chosen_names


def study_map_inputs(settings: Settings, test_sets: Sequence[str]) -> list[MapInputs]:
    """Every backbone with some test sets, all if none is named: its first prompt set, and the first seed of every head.

    Raises:
        CacheError: features are missing or damaged.
        SettingsError: a test set is not one of the study.
    """
    several = len(settings.backbones) > 1
    return [
        MapInputs(
            name=f"{name}, {backbone}" if several else name,
            images=FeatureCache(image_features(backbone, name)),
            prompts=FeatureCache(prompt_features(backbone)),
            heads=_first_seeds(settings, backbone),
            settings=next(iter(settings.prompts_of(backbone).values())),
        )
        for name in chosen_names(test_sets, settings.score.datasets, "score.datasets")
        for backbone in settings.backbones
    ]


def _first_seeds(settings: Settings, backbone: str) -> dict[str, Path]:
    """The name of each head, with its teacher if there are several, and the file of its first seed."""
    found = {}
    for of_backbone, teacher, heads in settings.pairs():
        if of_backbone != backbone:
            continue
        for name, head in heads.items():
            seed = head_seeds(head)[0]
            words = [
                name,
                *([teacher] if len(settings.teachers) > 1 else []),
                *([f"seed {seed}"] if seed is not None else []),
            ]
            found[", ".join(words)] = head_path(head_folder(backbone, teacher), name, seed)
    return found
