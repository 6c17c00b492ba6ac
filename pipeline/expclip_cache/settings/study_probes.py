"""What the probes of a study are made from, and its results of probes."""

from collections.abc import Iterable, Mapping, Sequence

from expclip_cache.base import DataError
from expclip_cache.cache import FeatureCache, canonical_json
from expclip_cache.datasets import DatasetSettings, definition_of
from expclip_cache.probes import ProbeInputs, ProbeResults, probes_made_from, read_probes
from expclip_cache.scoring import PredictionFile, TestSetScores, read_score_file, score_checksum
from expclip_cache.settings.paths import PROBES, image_features, prediction_file, score_file
from expclip_cache.settings.settings import Settings

STALE = f"{PROBES} has results of other features, heads, prompts or code than these; run `expclip-cache probe` again"


def study_probe_inputs(settings: Settings) -> list[ProbeInputs]:
    """The test sets of every backbone, the folds of a set as one.

    Raises:
        CacheError: features are missing or damaged.
        DataError: there are no scores yet, they are damaged, or they are of other features.
        SettingsError: a dataset's definition cannot be read.
    """
    sets = sets_with_folds({name: settings.datasets[name] for name in settings.score.datasets})
    found = []
    for backbone in settings.backbones:
        scores = {name: read_score_file(score_file(backbone, name)) for name in settings.score.datasets}
        parts = {name: _part(backbone, name, of_set) for name, of_set in scores.items()}
        found.append(
            ProbeInputs(
                backbone=backbone,
                sets={name: [parts[key] for key in keys] for name, keys in sets.items()},
                made_from=_made_from(settings, scores.values()),
            )
        )
    return found


def study_probes(settings: Settings, scores: Sequence[TestSetScores]) -> tuple[ProbeResults | None, str]:
    """The results of `expclip-cache probe` in the current folder.

    Args:
        settings: of the study.
        scores: every backbone on every test set.

    Returns:
        None if there are none, or if they are of other features, predictions or code; the text then says so.

    Raises:
        DataError: they are damaged.
    """
    found = read_probes(PROBES)
    if found is None:
        return None, ""
    made_from = {
        backbone: _made_from(settings, (one for one in scores if one.backbone == backbone))
        for backbone in settings.backbones
    }
    return (found, "") if found.are_of(made_from) else (None, STALE)


def sets_with_folds(test_sets: Mapping[str, DatasetSettings]) -> dict[str, list[str]]:
    """Name -> keys in params.yaml: several folds of a set count as one test set, under the name of the set.

    Raises:
        SettingsError: a dataset's definition cannot be read.
    """
    found: dict[str, list[str]] = {}
    for key, settings in test_sets.items():
        definition = definition_of(settings)
        found.setdefault(definition.name if definition.folds else key, []).append(key)
    return {keys[0] if len(keys) == 1 else name: keys for name, keys in found.items()}


def _made_from(settings: Settings, scores: Iterable[TestSetScores]) -> str:
    return probes_made_from({one.test_set: score_checksum(one) for one in scores}, settings.statistics)


def _part(backbone: str, name: str, scores: TestSetScores) -> tuple[FeatureCache, PredictionFile]:
    """The features and predictions of a test set, which belong to these scores."""
    images, file = FeatureCache(image_features(backbone, name)), PredictionFile(prediction_file(backbone, name))
    refuse_other_features(images, scores)
    if file.scores != score_checksum(scores):
        raise _other_features(images, scores)
    return images, file


def refuse_other_features(images: FeatureCache, scores: TestSetScores) -> None:
    """Make sure that scores are of these features.

    Raises:
        DataError: they are not.
    """
    if canonical_json(images.describe()) != canonical_json(scores.images):
        raise _other_features(images, scores)


def _other_features(images: FeatureCache, scores: TestSetScores) -> DataError:
    return DataError(
        f"{images}: expected the features behind {score_file(scores.backbone, scores.test_set)}, found others. "
        "Run `dvc repro scores`."
    )
