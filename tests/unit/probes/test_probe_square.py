"""The square of probes: the same as plain scikit-learn, and no test item has a say in training."""

from zlib import crc32

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score

from expclip_cache.probes import ProbeSettings
from expclip_cache.probes.probe import HELD_OUT, ITERATIONS, L2, choose_l2, fit_probe
from expclip_cache.probes.splits import held_out, stratified_folds
from expclip_cache.probes.square import Cell, NoCell, square
from probe_sets import CLASSES, CLIP, probe_set

SETTINGS = ProbeSettings()


def plain(l2: float) -> LogisticRegression:
    return LogisticRegression(C=1 / l2, max_iter=ITERATIONS)


def cells(*sets, settings=SETTINGS) -> dict[tuple[str, str], Cell | NoCell]:
    return {(cell.trained_on, cell.test_set): cell for cell in square(sets, settings)}


def test_off_the_diagonal_a_cell_is_plain_logistic_regression():
    a, b = probe_set("a", (30, 20, 40), spread=2), probe_set("b", (25, 25, 10), seed=1, spread=2)
    cell = cells(a, b)["a", "b"]
    model = plain(cell.l2[0]).fit(a.features, a.labels)
    assert np.array_equal(cell.predicted, model.predict(b.features))
    assert np.array_equal(cell.truth, b.labels)
    assert cell.trained_items == (90,)


def test_on_the_diagonal_every_item_is_predicted_by_a_probe_that_did_not_see_it():
    own = probe_set("own", (30, 21, 14), spread=2)
    cell = cells(own)["own", "own"]
    folds = stratified_folds(own.labels, 5, [SETTINGS.seed, crc32(b"own")])
    expected = np.empty_like(own.labels)
    for fold, l2 in zip(range(5), cell.l2, strict=True):
        model = plain(l2).fit(own.features[folds != fold], own.labels[folds != fold])
        expected[folds == fold] = model.predict(own.features[folds == fold])
    assert np.array_equal(cell.predicted, expected)
    # Random labels can only be learned by heart: seen items would be right.
    noise = probe_set("noise", (200, 200, 200), spread=1e6)
    assert np.mean(cells(noise)["noise", "noise"].predicted == noise.labels) < 0.45


def test_the_probe_minimises_what_its_documentation_says():
    own = probe_set("own", (12, 9, 20), spread=2)
    model = fit_probe(own.features, own.labels, 0.5)

    def loss(weights: np.ndarray, intercepts: np.ndarray) -> float:
        logits = own.features @ weights.T + intercepts
        log_sum = np.log(np.exp(logits).sum(axis=1))
        return 0.25 * (weights**2).sum() + (log_sum - logits[np.arange(len(logits)), own.labels]).sum()

    best, random = loss(model.coef_, model.intercept_), np.random.default_rng(0)
    for _ in range(50):
        step = 0.1 * random.normal(size=model.coef_.shape), 0.1 * random.normal(size=3)
        assert loss(model.coef_ + step[0], model.intercept_ + step[1]) > best


def test_the_strength_is_the_best_on_the_held_out_part_and_of_equal_ones_the_strongest():
    own = probe_set("own", (40, 30, 50), spread=4)
    tested = held_out(own.labels, HELD_OUT, [3])
    scores = [
        balanced_accuracy_score(
            own.labels[tested],
            plain(l2).fit(own.features[~tested], own.labels[~tested]).predict(own.features[tested]),
        )
        for l2 in L2
    ]
    assert choose_l2(own.features, own.labels, [3]) == L2[int(np.argmax(scores))]
    assert len(set(np.round(scores, 6))) > 1
    easy = probe_set("easy", (20, 20, 20), spread=0.01)
    assert choose_l2(easy.features, easy.labels, [3]) == L2[0]


def test_the_test_set_has_no_say_in_the_strength():
    a = probe_set("a", (40, 30, 50), spread=4)
    models = [plain(l2).fit(a.features, a.labels) for l2 in L2]
    chosen, would_be_chosen_on_the_test_set = set(), set()
    for seed in range(1, 9):
        b = probe_set("b", (40, 40, 40), seed=seed, spread=4)
        chosen.add(cells(a, b)["a", "b"].l2)
        scores = [balanced_accuracy_score(b.labels, model.predict(b.features)) for model in models]
        would_be_chosen_on_the_test_set.add(L2[int(np.argmax(scores))])
    assert len(chosen) == 1
    assert len(would_be_chosen_on_the_test_set) > 1


def test_in_cross_validation_the_tested_fold_has_no_say_in_the_strength():
    folds = np.arange(150) % 3
    own = probe_set("own", (50, 50, 50), spread=4, folds=folds)
    before = cells(own)["own", "own"]
    for fold in range(3):
        other = probe_set("own", (50, 50, 50), spread=4, folds=folds)
        other.labels[folds == fold] = (other.labels[folds == fold] + 1) % 3
        after = cells(other)["own", "own"]
        assert after.l2[fold] == before.l2[fold]
        assert np.array_equal(after.predicted[folds == fold], before.predicted[folds == fold])


def test_the_folds_of_a_set_are_the_folds_of_its_cross_validation():
    folds = np.repeat([0, 1, 2], [50, 40, 30])
    own = probe_set("own", (40, 40, 40), spread=2, folds=folds)
    cell = cells(own)["own", "own"]
    assert cell.trained_items == (70, 80, 90)
    for fold, l2 in enumerate(cell.l2):
        model = plain(l2).fit(own.features[folds != fold], own.labels[folds != fold])
        assert np.array_equal(cell.predicted[folds == fold], model.predict(own.features[folds == fold]))


def test_an_image_of_the_test_set_is_not_trained_on():
    a = probe_set("a", (20, 20, 20))
    images = [*a.images[:7], *(f"b {row}" for row in range(53))]
    found = cells(a, probe_set("b", (20, 20, 20), images=images, spread=3))
    assert found["a", "b"].trained_items == (53,)
    model = plain(found["a", "b"].l2[0]).fit(a.features[7:], a.labels[7:])
    assert np.array_equal(found["a", "b"].predicted, model.predict(probe_set("b", (20,) * 3, spread=3).features))
    part = cells(a, probe_set("part", (20, 20, 20), images=a.images.tolist()))["a", "part"]
    assert part == NoCell("a", "part", "60 items have their image in both")
    # Copies within a set are never on both sides of a fold.
    twins = probe_set("twins", (20, 20, 20), images=np.arange(60) // 2 * 0 + 1, folds=np.arange(60) % 2)
    assert isinstance(cells(twins)["twins", "twins"], NoCell)


def test_of_sets_with_different_classes_the_common_ones_are_compared():
    seven = probe_set("seven", (20, 20, 20), spread=2)
    eight = probe_set("eight", (15, 15, 15, 15), classes=("contempt", "fear", "happiness", "sadness"), spread=2)
    found = cells(seven, eight)
    there, back = found["seven", "eight"], found["eight", "seven"]
    assert there.classes == ("fear", "happiness", "sadness")
    assert back.classes == CLASSES
    rows = np.flatnonzero(eight.labels != 0)
    names = np.array(seven.classes)[seven.labels]
    model = plain(there.l2[0]).fit(seven.features, names)
    assert (np.array(there.classes)[there.predicted] == model.predict(eight.features[rows])).mean() > 0.95
    assert len(there.truth) == 45
    assert (back.trained_items, len(back.truth)) == ((45,), 60)
    # Zero-shot classifiers choose among the same classes.
    right = eight.similarities[CLIP][0][rows][:, 1:].argmax(axis=1) + 1 == eight.labels[rows]
    assert np.array_equal(there.zero_shot[CLIP], right)
    other = cells(seven, probe_set("other", (20, 20), classes=("boredom", "pride")))["seven", "other"]
    assert other == NoCell("seven", "other", "too few items of classes that both have")


def test_small_classes_do_not_stop_cross_validation_and_too_small_sets_are_left_out():
    cell = cells(probe_set("small", (30, 30, 1)))["small", "small"]
    assert len(cell.l2) == 5
    assert 2 not in cell.predicted
    assert cells(probe_set("one", (9, 1, 0)))["one", "one"] == NoCell(
        "one", "one", "too few items for cross-validation"
    )


def test_the_same_seed_gives_the_same_cells_and_another_one_others():
    sets = probe_set("a", (40, 30, 50), spread=4), probe_set("b", (40, 40, 40), seed=5, spread=4)
    one, again = cells(*sets), cells(*sets)
    other = cells(*sets, settings=ProbeSettings(seed=2))
    assert all(np.array_equal(one[key].predicted, again[key].predicted) for key in one)
    assert any(not np.array_equal(one[key].predicted, other[key].predicted) for key in one)


@pytest.mark.parametrize("folds", [2, 3])
def test_the_number_of_folds_is_a_setting(folds):
    cell = cells(probe_set("own", (10, 10, 10)), settings=ProbeSettings(folds=folds))["own", "own"]
    assert len(cell.l2) == folds
