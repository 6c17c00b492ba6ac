"""Few-shot probes: trained on a few items a class of one test set, tested on all others."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from zlib import crc32

import numpy as np

from expclip_cache.probes.probe import fit_probe, predict
from expclip_cache.probes.probe_set import ProbeSet, ZeroShot, common_classes
from expclip_cache.probes.settings import ProbeSettings
from expclip_cache.probes.splits import drawn


@dataclass(frozen=True, eq=False)
class FewShotScores:
    """A number of shots on one test set.

    Attributes:
        trained_on, test_set: names.
        shots: items of each class.
        classes: how many are compared, those of both sets.
        items: of each draw, how many were tested.
        scores: classifier (None: the probe) -> (draws, 2) float64 UAR and WAR in percent.
    """

    trained_on: str
    test_set: str
    shots: int
    classes: int
    items: tuple[int, ...]
    scores: dict[ZeroShot | None, np.ndarray]


def possible_shots(train: ProbeSet, settings: ProbeSettings) -> list[int]:
    """Those numbers of shots that leave an item of every class that has any to be tested on."""
    smallest = min(np.unique(train.labels, return_counts=True)[1])
    return [shots for shots in settings.shots if shots < smallest]


def few_shot(train: ProbeSet, sets: Sequence[ProbeSet], settings: ProbeSettings) -> Iterator[FewShotScores]:
    """Every possible number of shots on every test set with which the training set has two classes in common.

    Tested are all items of the other sets and those of its own that were not drawn; in both, no item whose image was
    drawn. The l2 strength is fixed: with one item a class there is nothing to choose it on, and to choose it on other
    labelled items would be to use more of them than are counted.
    """
    seeds = [[settings.seed, crc32(train.name.encode()), draw] for draw in range(settings.draws)]
    for test in sets:
        classes = common_classes(train, test)
        if (
            len(np.unique(train.labels[train.labels_among(classes) >= 0])) < 2
            or not (test.labels_among(classes) >= 0).any()
        ):
            continue
        for shots in possible_shots(train, settings):
            found = [_one_draw(train, test, classes, shots, seed, settings.few_shot_l2) for seed in seeds]
            scores = {one: np.array([scores[one] for _, scores in found]) for one in found[0][1]}
            items = tuple(count for count, _ in found)
            yield FewShotScores(train.name, test.name, shots, len(classes), items, scores)


def _one_draw(
    train: ProbeSet, test: ProbeSet, classes: Sequence[str], shots: int, seed: Sequence[int], l2: float
) -> tuple[int, dict[ZeroShot | None, tuple[float, float]]]:
    """How many items were tested, and UAR and WAR of the probe and of the zero-shot classifiers."""
    # Drawn among all classes, so that a draw is the same for every test set.
    rows = drawn(train.labels, shots, seed)
    labels, truth = train.labels_among(classes), test.labels_among(classes)
    tested = np.flatnonzero((truth >= 0) & ~np.isin(test.images, train.images[rows]))
    rows = rows[labels[rows] >= 0]
    predicted = predict(fit_probe(train.features[rows], labels[rows], l2), test.features[tested])
    right: dict[ZeroShot | None, np.ndarray] = {None: predicted == truth[tested], **test.right_among(classes, tested)}
    return len(tested), {one: uar_and_war(truth[tested], share) for one, share in right.items()}


def uar_and_war(truth: np.ndarray, right: np.ndarray) -> tuple[float, float]:
    """In percent.

    Args:
        truth: (n,) true classes.
        right: (n,) share of a classifier's seeds that are right.
    """
    items = np.bincount(truth)
    present = items > 0
    recalls = np.bincount(truth, weights=right)[present] / items[present]
    return 100 * float(recalls.mean()), 100 * float(np.mean(right))
