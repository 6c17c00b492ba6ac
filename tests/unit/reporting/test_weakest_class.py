"""The weakest class of each system, against plain NumPy on random confusion matrices."""

import numpy as np

from expclip_cache.reporting.weakest_class import Place, class_recalls, weakest_class, weakest_over_test_sets
from expclip_cache.scoring import TestSetScores
from expclip_cache.scoring.results import HeadScores, PromptSetScores
from expclip_cache.statistics.system import System
from expclip_cache.statistics.systems import SystemScores

CLASSES = {"one": ("anger", "fear", "neutral"), "two": ("fear", "anger")}


def measured() -> tuple[list[TestSetScores], dict[tuple[str, int, int | None], np.ndarray]]:
    """Two test sets, plain CLIP and two seeds of a head under two prompt types; a class of the first has no items."""
    random, matrices, found = np.random.default_rng(0), {}, []
    for test_set, classes in CLASSES.items():
        for kind in (2, 5):
            for seed in (None, 1, 2):
                matrix = random.integers(1, 20, (len(classes), len(classes)))
                if test_set == "one":
                    matrix[2] = 0
                matrices[test_set, kind, seed] = matrix
        clip = {kind: matrices[test_set, kind, None] for kind in (2, 5)}
        heads = tuple(
            HeadScores("t", "h", seed, "", {kind: matrices[test_set, kind, seed] for kind in (2, 5)}, None)
            for seed in (1, 2)
        )
        found.append(TestSetScores("b", test_set, classes, {"skipped": []}, {"p": PromptSetScores({}, clip, heads)}))
    return found, matrices


def plain_recall(matrix: np.ndarray, row: int) -> float:
    return 100 * matrix[row, row] / matrix[row].sum()


CLIP, HEAD = System("b", "", "", "p"), System("b", "t", "h", "p")


def test_recalls_are_means_over_the_seeds_and_classes_without_items_have_none():
    found, matrices = measured()
    recalls = class_recalls(found)
    for test_set, classes in CLASSES.items():
        for kind in (2, 5):
            for system, seeds in ((CLIP, [None]), (HEAD, [1, 2])):
                expected = {
                    name: np.mean([plain_recall(matrices[test_set, kind, seed], row) for seed in seeds])
                    for row, name in enumerate(classes)
                    if name != "neutral"
                }
                own = recalls[Place(test_set, kind, system)]
                assert own.keys() == expected.keys()
                np.testing.assert_allclose(list(own.values()), list(expected.values()))
                assert weakest_class(own).recall == min(own.values())


def test_over_the_test_sets_it_is_the_class_with_the_lowest_mean():
    found, matrices = measured()
    rows = [
        SystemScores(name, *system, kind, 9, 0, 1, *[0.0] * 11, None, None)
        for name in CLASSES
        for kind in (2, 5)
        for system in (CLIP, HEAD)
    ]
    weakest = weakest_over_test_sets(rows, class_recalls(found))
    for system, seeds in ((CLIP, [None]), (HEAD, [1, 2])):
        means = {
            name: np.mean(
                [
                    plain_recall(matrices[test_set, 5, seed], classes.index(name))
                    for test_set, classes in CLASSES.items()
                    for seed in seeds
                ]
            )
            for name in ("anger", "fear")
        }
        name, recall = weakest[system]
        assert name == min(means, key=means.__getitem__)
        np.testing.assert_allclose(recall, min(means.values()))
