"""Intervals: against a plain computation item by item, against SciPy's bootstrap, and how often they are right."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta, bootstrap

from expclip_cache.base.errors import DataError
from expclip_cache.statistics.bootstrap import (
    intervals,
    mean_draws,
    pooled_draws,
    score_draws,
)
from expclip_cache.statistics.outcomes import Outcomes, item_outcomes, outcomes_of_correct, paired_outcomes
from expclip_cache.statistics.own_predictions import difference_intervals, score_intervals
from expclip_cache.statistics.settings import StatisticsSettings

SETTINGS = StatisticsSettings()
FERPLUS = np.array([892, 382, 1083, 269, 394, 16, 86, 15])
"""Test items of each class of FERPlus."""
MAFW = np.array([249, 294, 228, 278, 215, 128, 125, 48, 184, 53, 37])
"""Those of a fold of MAFW."""


def labels(items) -> np.ndarray:
    return np.repeat(np.arange(len(items)), items)


def limits(found) -> list[float]:
    return [found.uar.low, found.uar.high, found.war.low, found.war.high]


def plain_limits(truth, values, prior, draws=4000) -> list[float]:
    """The Bayesian bootstrap item by item: exponential weights; the items of the prior are given as (value, size)."""
    random = np.random.default_rng(5)
    classes = np.unique(truth)
    uars, wars = [], []
    for _ in range(draws):
        recalls = []
        for label in classes:
            own = list(values[truth == label])
            weights = [*random.exponential(size=len(own)), *(random.gamma(size) for _, size in prior)]
            shown = [*own, *(value for value, _ in prior)]
            # As if the prior had no items: the mean of the class, and the variance of its items.
            size, added = len(own), sum(size for _, size in prior)
            mean = (sum(own) + sum(value * size for value, size in prior)) / (size + added)
            away = np.dot(weights, shown) / np.sum(weights) - mean
            recalls.append(100 * (np.mean(own) + away * np.sqrt((size + added + 1) / size)))
        uars.append(np.mean(recalls))
        wars.append(np.average(recalls, weights=[np.sum(truth == label) for label in classes]))
    return [float(np.quantile(scores, q)) for scores in (uars, wars) for q in (0.025, 0.975)]


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [1, 3])
def test_intervals_equal_a_plain_computation_item_by_item(seeds):
    random = np.random.default_rng(1)
    truth = random.permutation(labels([40, 12, 25, 3]))
    right = random.binomial(seeds, 0.3 + 0.15 * truth) / seeds
    found = intervals(score_draws(item_outcomes(truth, right, 4), SETTINGS, "set"), SETTINGS)
    np.testing.assert_allclose(limits(found), plain_limits(truth, right, [(0, 1 / 3), (1, 1 / 3)]), atol=0.8)


@pytest.mark.slow
def test_intervals_of_differences_equal_a_plain_computation_item_by_item():
    random = np.random.default_rng(2)
    truth = labels([40, 12, 25, 6])
    right, other = random.binomial(5, 0.6, len(truth)) / 5, random.binomial(1, 0.4, len(truth))
    outcomes = paired_outcomes(truth, right, other, 4)
    found = intervals(score_draws(outcomes, SETTINGS, "set"), SETTINGS)
    prior = [(-1, 1 / 6), (0, 1 / 6), (0, 1 / 6), (1, 1 / 6)]
    np.testing.assert_allclose(limits(found), plain_limits(truth, right - other, prior), atol=0.8)


@pytest.mark.slow
@pytest.mark.parametrize("c", [1, 3])
def test_intervals_are_near_those_of_scipys_bootstrap(c):
    """SciPy resamples the items of each class and adds nothing to them, which matters little with 60 of each."""
    random = np.random.default_rng(3)
    classes = [random.binomial(1, 0.2 + 0.25 * label, 60).astype(float) for label in range(c)]
    truth, right = labels([60] * c), np.concatenate(classes)
    found = intervals(score_draws(item_outcomes(truth, right, c), SETTINGS, "set"), SETTINGS)

    def uar(*samples, axis=-1):
        return 100 * np.mean([sample.mean(axis=axis) for sample in samples], axis=0)

    theirs = bootstrap(classes, uar, n_resamples=10_000, method="percentile", rng=np.random.default_rng(4))
    width = theirs.confidence_interval.high - theirs.confidence_interval.low
    np.testing.assert_allclose(limits(found)[:2], theirs.confidence_interval, atol=0.08 * width)


@pytest.mark.parametrize(("correct", "items"), [(0, 16), (3, 16), (16, 16), (700, 1000)])
def test_the_interval_of_one_class_is_that_of_a_beta_distribution(correct, items):
    settings = StatisticsSettings(resamples=100_000)
    outcomes = outcomes_of_correct(np.array([correct]), np.array([items]))
    found = intervals(score_draws(outcomes, settings, "set"), settings).uar
    of_class = beta(correct + 1 / 3, items - correct + 1 / 3)
    away = of_class.ppf([0.025, 0.975]) - of_class.mean()
    expected = np.clip(100 * (correct / items + away * np.sqrt((items + 5 / 3) / items)), 0, 100)
    np.testing.assert_allclose([found.low, found.high], expected, atol=0.3)


def covered(items, recalls, simulated=1000, resamples=1000, other=None, agreement=0.0, folds=1) -> tuple[float, float]:
    """How often, in percent, the intervals of UAR and WAR cover the truth in simulated test sets.

    With several folds, the interval of their mean.

    With `other`, of the difference to a second classifier with these recalls; the two share a part `agreement` of their
    luck.
    """
    random = np.random.default_rng(6)
    settings = StatisticsSettings(resamples=resamples)
    items, recalls = np.asarray(items), np.asarray(recalls)
    truth = labels(items)
    hits = np.zeros(2)
    for _ in range(simulated):
        if other is None:
            expected = 100 * recalls
            draws = [
                score_draws(outcomes_of_correct(random.binomial(items, recalls), items), settings, str(fold))
                for fold in range(folds)
            ]
        else:
            expected = 100 * (recalls - other)
            luck = random.random(len(truth))
            second = np.where(random.random(len(truth)) < agreement, luck, random.random(len(truth)))
            right, wrong = luck < recalls[truth], second < np.asarray(other)[truth]
            outcomes = paired_outcomes(truth, right.astype(float), wrong.astype(float), len(items))
            draws = [score_draws(outcomes, settings, "set")]
        found = intervals(mean_draws(draws), settings)
        hits += found.uar.covers(expected.mean()), found.war.covers(np.average(expected, weights=items))
    return tuple(100 * hits / simulated)


# Of the reference's log with B/16 and prompts of type 5, and of plain CLIP's kind.
RECALLS = np.array([0.924, 0.377, 0.212, 0.725, 0.822, 0.12, 0.14, 0.267])
LOWER = np.array([0.80, 0.30, 0.25, 0.50, 0.70, 0.06, 0.08, 0.13])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("items", "recalls"),
    [
        (FERPLUS, RECALLS),
        (FERPLUS, LOWER),
        (FERPLUS, np.full(8, 0.9)),
        (np.full(7, 500), RECALLS[:7]),
        (np.full(7, 16), RECALLS[:7]),
        (np.full(7, 200), np.array([0.97, 0.98, 0.99, 0.9, 0.98, 0.95, 0.96])),
    ],
)
def test_a_95_percent_interval_covers_the_truth_in_93_to_97_percent_of_simulated_test_sets(items, recalls):
    for share in covered(items, recalls):
        assert 93 <= share <= 97


@pytest.mark.slow
@pytest.mark.parametrize(
    ("items", "recalls"),
    [
        (np.full(7, 30), np.full(7, 0.05)),
        (np.full(7, 30), np.full(7, 0.9)),
        (MAFW, np.array([0.6, 0.5, 0.2, 0.3, 0.2, 0.05, 0.1, 0.02, 0.03, 0.02, 0.02])),
    ],
)
def test_so_does_that_of_a_mean_over_five_folds_whose_small_classes_are_alike(items, recalls):
    """Each class of each fold has a prior of its own, which must not add up to a shift."""
    for share in covered(items, recalls, folds=5, resamples=600):
        assert 93 <= share <= 97


@pytest.mark.slow
@pytest.mark.parametrize(("items", "agreement"), [(FERPLUS, 0.5), (FERPLUS, 0.0), (np.full(7, 60), 0.5)])
def test_so_does_that_of_a_difference(items, agreement):
    c = len(items)
    for share in covered(items, RECALLS[:c], resamples=600, other=LOWER[:c], agreement=agreement):
        assert 93 <= share <= 97


def test_without_items_of_the_prior_a_class_without_errors_would_be_certain():
    outcomes = outcomes_of_correct(np.array([16]), np.array([16]))
    assert intervals(score_draws(outcomes, SETTINGS, "set"), SETTINGS).uar.low < 90
    bare = Outcomes(outcomes.values, outcomes.counts, np.zeros(2))
    assert intervals(score_draws(bare, SETTINGS, "set"), SETTINGS).uar.low == 100


@pytest.mark.parametrize("correct", [0, 50])
def test_an_interval_holds_the_score_even_if_all_items_are_right_or_wrong(correct):
    outcomes = outcomes_of_correct(np.full(7, correct), np.full(7, 50))
    found = intervals(score_draws(outcomes, SETTINGS, "set"), SETTINGS).uar
    assert found.covers(2 * correct)
    assert 0.5 < found.high - found.low < 2


def test_the_same_seed_gives_the_same_interval_and_test_sets_are_independent():
    outcomes = outcomes_of_correct(np.array([7, 20]), np.array([16, 30]))
    draws = score_draws(outcomes, SETTINGS, "raf-db")
    np.testing.assert_array_equal(draws.uar, score_draws(outcomes, SETTINGS, "raf-db").uar)
    for settings, name in ((StatisticsSettings(seed=2), "raf-db"), (SETTINGS, "afew")):
        assert abs(np.corrcoef(draws.uar, score_draws(outcomes, settings, name).uar)[0, 1]) < 0.05


def test_more_confidence_is_a_wider_interval():
    draws = score_draws(outcomes_of_correct(np.array([7, 20]), np.array([16, 30])), SETTINGS, "set")
    widths = []
    for confidence in (50.0, 90.0, 95.0, 99.0):
        found = intervals(draws, StatisticsSettings(confidence=confidence))
        inside = np.mean((draws.uar[1:] >= found.uar.low) & (draws.uar[1:] <= found.uar.high))
        assert inside == pytest.approx(confidence / 100, abs=0.001)
        widths.append(found.uar.high - found.uar.low)
    assert widths == sorted(widths)


def test_a_class_without_items_has_no_part_in_the_scores():
    correct, items = np.array([7, 0, 20]), np.array([16, 0, 30])
    draws = score_draws(outcomes_of_correct(correct, items), SETTINGS, "set")
    assert np.isnan(draws.recalls[:, 1]).all()
    without = score_draws(outcomes_of_correct(correct[[0, 2]], items[[0, 2]]), SETTINGS, "set")
    np.testing.assert_array_equal(draws.uar, without.uar)
    np.testing.assert_array_equal(draws.war, without.war)


@given(
    st.lists(
        st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=3, max_size=3).filter(
            lambda rows: sum(a + b for a, b in rows)
        ),
        min_size=1,
        max_size=4,
    )
)
def test_the_first_draw_is_the_test_set_itself_also_of_folds_together(folds):
    """(correct, wrong) of each class of each fold."""
    counts = np.array(folds)
    correct, items = counts[:, :, 0], counts.sum(axis=2)
    settings = StatisticsSettings(resamples=100)
    draws = [score_draws(outcomes_of_correct(*fold), settings, "a") for fold in zip(correct, items, strict=True)]

    def uar(hits, all_items):
        return 100 * np.mean([h / n for h, n in zip(hits, all_items, strict=True) if n])

    def war(hits, all_items):
        return 100 * sum(hits) / sum(all_items)

    pooled, mean = pooled_draws(draws), mean_draws(draws)
    assert pooled.uar[0] == pytest.approx(uar(correct.sum(axis=0), items.sum(axis=0)))
    assert pooled.war[0] == pytest.approx(war(correct.sum(axis=0), items.sum(axis=0)))
    assert mean.uar[0] == pytest.approx(np.mean([uar(*fold) for fold in zip(correct, items, strict=True)]))
    assert mean.war[0] == pytest.approx(np.mean([war(*fold) for fold in zip(correct, items, strict=True)]))


def test_pooling_folds_is_resampling_the_items_within_each():
    """Pooled, the spread of two halves drawn separately is that of the whole, up to the prior."""
    correct, items = np.array([300, 120]), np.array([600, 400])
    halves = [score_draws(outcomes_of_correct(correct // 2, items // 2), SETTINGS, name) for name in ("a", "b")]
    whole = score_draws(outcomes_of_correct(correct, items), SETTINGS, "whole")
    assert pooled_draws(halves).uar.std() == pytest.approx(whole.uar.std(), rel=0.04)
    assert mean_draws(halves).uar.std() == pytest.approx(whole.uar.std(), rel=0.04)


def test_what_cancels_out_does_not_widen_the_interval_of_a_difference():
    truth = labels([500, 500])
    random = np.random.default_rng(8)
    right = (random.random(1000) < 0.5).astype(float)
    other = right.copy()
    other[:20] = 1 - other[:20]
    paired = intervals(score_draws(paired_outcomes(truth, right, other, 2), SETTINGS, "set"), SETTINGS).uar
    single = intervals(score_draws(item_outcomes(truth, right, 2), SETTINGS, "set"), SETTINGS).uar
    assert paired.high - paired.low < 0.4 * (single.high - single.low)


@pytest.mark.parametrize(
    ("truth", "right", "words"),
    [
        ([0, 1], [1.0], "expected 1 true classes"),
        ([0, 2], [1.0, 0.0], "from 0 to 1"),
        ([0, -1], [1.0, 0.0], "from 0 to 1"),
        ([0, 1], [1.0, 1.5], "shares from 0 to 1, found 1.0 to 1.5"),
        ([0, 1], [-0.5, 1.0], "shares from 0 to 1"),
    ],
)
def test_impossible_outcomes_are_refused(truth, right, words):
    with pytest.raises(DataError, match=words):
        item_outcomes(np.array(truth), np.array(right), 2)
    if "shares" in words:
        with pytest.raises(DataError, match=words):
            paired_outcomes(np.array(truth), np.array([0.0, 0.0]), np.array(right), 2)


def test_intervals_of_ones_own_predictions_are_those_of_the_outcomes():
    random = np.random.default_rng(9)
    truth, first, second = random.integers(0, 3, (3, 90))
    own = score_intervals(truth, first, 3)
    assert own == intervals(
        score_draws(item_outcomes(truth, (first == truth).astype(float), 3), SETTINGS, ""), SETTINGS
    )
    several = np.stack([first, second])
    share = (several == truth).mean(axis=0)
    assert score_intervals(truth, several, 3).uar.low == pytest.approx(
        intervals(score_draws(item_outcomes(truth, share, 3), SETTINGS, ""), SETTINGS).uar.low
    )
    difference = difference_intervals(truth.tolist(), first.tolist(), second, 3)
    opposite = difference_intervals(truth, second, first, 3)
    assert (difference.uar.low, difference.uar.high) == pytest.approx((-opposite.uar.high, -opposite.uar.low), abs=0.8)


@pytest.mark.parametrize(("truth", "predicted"), [([0, 1], [0]), ([], []), ([[0, 1]], [[0, 1]]), ([0, 1], [[[0, 1]]])])
def test_predictions_that_do_not_fit_the_items_are_refused(truth, predicted):
    with pytest.raises(DataError, match=r"expected \(n,\) true classes and \(n,\) or \(s, n\) predictions"):
        score_intervals(truth, predicted, 2)
