"""Confusion matrices, UAR and WAR against the published matrices and scores, and against plain counting."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from expclip_cache.base.errors import DataError
from expclip_cache.scoring.metrics import confusion, fold_mean, pooled, recall, scores, uar, war

GOLDEN = json.loads((Path(__file__).parents[2] / "data" / "golden_confusions.json").read_text())
CASES = [
    (backbone, dataset, type_)
    for backbone, datasets in GOLDEN["matrices"].items()
    for dataset, types in datasets.items()
    for type_ in types
]


def matrices(backbone: str, dataset: str, type_: str) -> list[np.ndarray]:
    folds = GOLDEN["matrices"][backbone][dataset][type_]
    sides = [round(len(fold) ** 0.5) for fold in folds]
    return [np.array(fold).reshape(c, c) for fold, c in zip(folds, sides, strict=True)]


def test_the_golden_file_is_complete():
    assert len(CASES) == 80
    assert sum(len(matrices(*case)) for case in CASES) == 160


@pytest.mark.parametrize(("backbone", "dataset", "type_"), CASES)
def test_the_published_scores_follow_from_the_published_matrices(backbone, dataset, type_):
    result = fold_mean(matrices(backbone, dataset, type_))
    published = GOLDEN["published"][backbone][dataset][type_]
    assert (result.uar, result.war) == pytest.approx(published, abs=0.005 + 1e-9)


@pytest.mark.parametrize(("backbone", "dataset", "type_"), CASES)
def test_predictions_expanded_from_a_matrix_count_back_to_it(backbone, dataset, type_):
    for matrix in matrices(backbone, dataset, type_):
        truth, predicted = (np.repeat(index.ravel(), matrix.ravel()) for index in np.indices(matrix.shape))
        shuffled = np.random.default_rng(0).permutation(len(truth))
        counted = confusion(truth[shuffled], predicted[shuffled], len(matrix))
        assert counted.dtype == np.int64
        np.testing.assert_array_equal(counted, matrix)


def test_a_transposed_matrix_does_not_give_the_published_score():
    transposed = [matrix.T for matrix in matrices("B/32", "raf-db", "2")]
    assert fold_mean(transposed).uar != pytest.approx(GOLDEN["published"]["B/32"]["raf-db"]["2"][0], abs=0.5)


def test_a_small_matrix_computed_by_hand():
    matrix = confusion([0, 0, 0, 1, 1, 2], [0, 0, 1, 1, 1, 0], 3)
    np.testing.assert_array_equal(matrix, [[2, 1, 0], [0, 2, 0], [1, 0, 0]])
    np.testing.assert_allclose(recall(matrix), [200 / 3, 100, 0])
    assert uar(matrix) == pytest.approx(500 / 9)
    assert war(matrix) == pytest.approx(400 / 6)
    assert scores(matrix).items == 6


def test_a_class_without_items_is_left_out_of_uar_but_predicting_it_is_still_wrong():
    matrix = confusion([0, 0, 2, 2], [0, 1, 2, 2], 3)
    assert np.isnan(recall(matrix)[1])
    assert uar(matrix) == pytest.approx(75)
    assert war(matrix) == pytest.approx(75)


def test_fold_mean_and_pooled_differ_for_unequal_folds():
    small, large = [[1, 0], [0, 1]], [[0, 8], [0, 8]]
    assert fold_mean([small, large]).uar == pytest.approx(75)
    assert fold_mean([small, large], [1, 3]).uar == pytest.approx(
        (fold_mean([small]).uar + 3 * fold_mean([large]).uar) / 4
    )
    assert pooled([small, large]).uar == pytest.approx((100 / 9 + 100) / 2)
    assert pooled([small, large]).war == pytest.approx(100 * 10 / 18)
    assert fold_mean([small, large]).items == pooled([small, large]).items == 18


@given(
    st.integers(1, 11).flatmap(
        lambda c: st.tuples(
            st.just(c),
            st.lists(st.tuples(st.integers(0, c - 1), st.integers(0, c - 1)), min_size=1, max_size=60),
        )
    )
)
def test_scores_equal_plain_counting(case):
    c, pairs = case
    matrix = confusion(*zip(*pairs, strict=True), c)
    by_class = [[t == p for t, p in pairs if t == name] for name in range(c)]
    expected = [sum(hits) / len(hits) for hits in by_class if hits]
    assert uar(matrix) == pytest.approx(100 * sum(expected) / len(expected))
    assert war(matrix) == pytest.approx(100 * sum(t == p for t, p in pairs) / len(pairs))
    assert matrix.sum() == len(pairs)


@pytest.mark.parametrize(
    ("truth", "predicted", "message"),
    [
        ([0, 1, 7, 9], [0, 0, 0, 0], r"truth has 7 at row 2, expected 0 to 6 \(2 such rows\)"),
        ([0, -1], [0, 0], r"truth has -1 at row 1.*unlabelled row"),
        ([0, 1], [0, 7], r"predicted has 7 at row 1"),
        ([0, 1], [0], r"truth has 2 rows and predicted 1"),
        ([0.0, 1.0], [0, 1], r"truth: expected \(n,\) integers, found \(2,\) float64"),
        ([[0, 1]], [0, 1], r"truth: expected \(n,\) integers, found \(1, 2\)"),
    ],
)
def test_bad_labels_are_refused(truth, predicted, message):
    with pytest.raises(DataError, match=message):
        confusion(truth, predicted, 7)


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        ([[1, 2]], r"expected \(c, c\) integers, found \(1, 2\)"),
        ([[0.5]], r"found \(1, 1\) float64"),
        ([[1, -1], [0, 1]], r"expected counts of at least 0, found -1"),
        ([[0, 0], [0, 0]], r"at least one test item"),
        (confusion([], [], 3), r"at least one test item"),
    ],
)
def test_bad_matrices_are_refused(matrix, message):
    for metric in (recall, uar, war, scores):
        with pytest.raises(DataError, match=message):
            metric(matrix)


def test_folds_of_different_sizes_are_refused():
    with pytest.raises(DataError, match="of the same size"):
        pooled([[[1]], [[1, 0], [0, 1]]])
    with pytest.raises(DataError, match="at least one"):
        fold_mean([])
    with pytest.raises(DataError, match="of the same size"):
        pooled([])
