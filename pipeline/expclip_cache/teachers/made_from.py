"""What a comparison of teachers was made from, as a hash: results of other features or settings are not shown."""

from collections.abc import Mapping, Sequence

from expclip_cache.base import source_sha256
from expclip_cache.cache import FeatureCache, Json, json_sha256
from expclip_cache.heads import RidgeSettings
from expclip_cache.scoring import TestSetScores
from expclip_cache.statistics import StatisticsSettings
from expclip_cache.teachers.inputs import TeacherTargets


def teachers_made_from(
    images: FeatureCache,
    targets: Sequence[TeacherTargets],
    scores: Mapping[str, TestSetScores],
    prompts: str,
    ridge: RidgeSettings,
    statistics: StatisticsSettings,
) -> str:
    """A hash over everything that the rows of one backbone depend on; the heads of the study are not among it.

    Args:
        images: image features of the training set.
        targets: of every teacher.
        scores: test set -> its scores, which record hashes of its features and prompts.
        prompts: name of the prompt set.
        ridge: how heads are fitted.
        statistics: of the intervals.
    """
    described: Json = {
        "code": source_sha256("expclip_cache.teachers", "expclip_cache.heads"),
        "images": [images.fingerprint, sorted(images.skipped)],
        "targets": [
            [
                *(one.name, one.model, one.instruction),
                *(list(map(str, one.states)), one.cache.fingerprint, sorted(one.cache.skipped)),
            ]
            for one in targets
        ],
        "tests": {name: dict(found.prompt_sets[prompts].made_by) for name, found in scores.items()},
        "prompts": prompts,
        "ridge": ridge.model_dump(exclude={"backbones", "teachers"}) | {"lambdas": list(ridge.lambdas)},
        "statistics": statistics.model_dump(),
    }
    return json_sha256(described)[:16]
