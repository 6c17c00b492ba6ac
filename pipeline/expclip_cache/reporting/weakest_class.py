"""The class that each system recognises worst: a mean recall can hide that a class is nearly lost."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from expclip_cache.scoring import AnswerScores, TestSetScores, recall
from expclip_cache.statistics import System, SystemScores, mean, under_highest_type


class Place(NamedTuple):
    """Where a system was measured."""

    test_set: str
    prompt_type: int
    system: System


class WeakestClass(NamedTuple):
    """A class and its recall in percent, the mean over the seeds of the head."""

    name: str
    recall: float


Recalls = Mapping[Place, Mapping[str, float]]
"""Place -> class -> recall in percent, the mean over the seeds; classes without items are left out."""


def class_recalls(scores: Iterable[TestSetScores | AnswerScores]) -> Recalls:
    """The recall of every class."""
    seeds: dict[Place, list[np.ndarray]] = {}
    classes: dict[str, tuple[str, ...]] = {}
    for found in scores:
        classes[found.test_set] = found.classes
        for one, matrix in found.confusions():
            place = Place(found.test_set, one.prompt_type, System(found.backbone, one.teacher, one.head, one.prompts))
            seeds.setdefault(place, []).append(recall(matrix))
    return {
        place: {
            name: float(value)
            for name, value in zip(classes[place.test_set], np.mean(found, axis=0), strict=True)
            if not np.isnan(value)
        }
        for place, found in seeds.items()
    }


def weakest_class(recalls: Mapping[str, float]) -> WeakestClass:
    """The class with the lowest recall."""
    return WeakestClass(*min(recalls.items(), key=lambda item: item[1]))


def weakest_over_test_sets(scores: Sequence[SystemScores], recalls: Recalls) -> dict[System, WeakestClass]:
    """The weakest class of each system under the highest prompt type: its recall is the mean over the test sets."""
    found: dict[System, dict[str, list[float]]] = {}
    for row in under_highest_type(scores):
        for name, value in recalls[Place(row.test_set, row.prompt_type, row.system)].items():
            found.setdefault(row.system, {}).setdefault(name, []).append(value)
    return {
        system: weakest_class({name: mean(values) for name, values in by_class.items()})
        for system, by_class in found.items()
    }
