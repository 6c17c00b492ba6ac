"""Calibration against plain loops, scikit-learn and simulations; coverage and temperature against brute force."""

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from sklearn.calibration import calibration_curve
from sklearn.metrics import log_loss

from expclip_cache.base.errors import DataError
from expclip_cache.scoring.percentages import softmax_percent
from expclip_cache.statistics.calibration import BINS, answers, calibration, reliability
from expclip_cache.statistics.coverage import accuracy_at_coverage, confidence_at_coverage
from expclip_cache.statistics.temperature import RANGE, fitted_temperature

SCALE = 100.0


def simulated(rng, n, c=7, temperature=1.0, spread=0.02):
    """Similarities, and true classes drawn from their softmax under a temperature."""
    similarities = rng.normal(0, spread, (n, c)).astype(np.float32)
    cumulative = softmax_percent(similarities, SCALE / temperature).cumsum(axis=1)
    return similarities, (rng.uniform(0, 100, (n, 1)) > cumulative[:, :-1]).sum(axis=1)


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def test_every_measure_equals_plain_loops(rng):
    similarities, truth = simulated(rng, 500, temperature=2.5)
    percent = softmax_percent(similarities, SCALE)
    bins = [[] for _ in range(15)]
    nll = 0.0
    for row, label in zip(percent, truth, strict=True):
        top = max(range(7), key=lambda k: row[k])
        for k in range(15):
            if 100 * k / 15 < row[top] <= 100 * (k + 1) / 15:
                bins[k].append((row[top], 100.0 * (top == label)))
        nll -= np.log(row[label] / 100)
    gaps = [len(each) * abs(np.mean([p for p, _ in each]) - np.mean([r for _, r in each])) for each in bins if each]
    found = calibration(percent, truth)
    assert found.items == 500
    assert found.ece == pytest.approx(sum(gaps) / 500)
    assert found.nll == pytest.approx(nll / 500)
    assert found.accuracy == pytest.approx(np.mean([r for each in bins for _, r in each]))
    assert found.confidence == pytest.approx(np.mean([p for each in bins for p, _ in each]))
    assert found.confidence > found.accuracy + 5


def test_bins_and_likelihood_are_those_of_scikit_learn(rng):
    similarities, truth = simulated(rng, 2000)
    percent = softmax_percent(similarities, SCALE)
    confidence, right = answers(percent, truth)
    found = reliability(confidence, right)
    accuracy, mean = calibration_curve(right, confidence / 100, n_bins=BINS)
    filled = found.items > 0
    np.testing.assert_allclose(found.accuracy[filled], 100 * accuracy)
    np.testing.assert_allclose(found.confidence[filled], 100 * mean)
    assert np.isnan(found.accuracy[~filled]).all()
    assert np.isnan(found.confidence[~filled]).all()
    assert calibration(percent, truth).nll == pytest.approx(log_loss(truth, percent / 100, labels=range(7)))


def test_borders_belong_to_the_lower_bin():
    found = reliability(np.array([100 / 15, 20.0, 100.0, 1e-9]), np.array([True, False, True, False]))
    assert np.flatnonzero(found.items).tolist() == [0, 2, 14]
    assert found.items[0] == 2


def test_the_error_of_a_calibrated_classifier_vanishes_with_the_items(rng):
    percent = softmax_percent(rng.normal(0, 0.02, (400_000, 7)), SCALE)
    truth = (rng.uniform(0, 100, (len(percent), 1)) > percent.cumsum(axis=1)[:, :-1]).sum(axis=1)
    assert calibration(percent, truth).ece < 0.4


@pytest.mark.parametrize("n", [20, 100, 1400])
@pytest.mark.parametrize("spread", [0.005, 0.02, 0.1])
def test_the_expected_error_of_a_calibrated_classifier_is_that_of_simulations(rng, n, spread):
    """Within a tenth, also where most answers are nearly certain and bins have few items."""
    found, expected = [], []
    for _ in range(300):
        similarities, truth = simulated(rng, n, spread=spread)
        one = calibration(softmax_percent(similarities, SCALE), truth)
        found.append(one.ece)
        expected.append(one.ece_if_calibrated)
    assert np.mean(expected) == pytest.approx(np.mean(found), rel=0.1)


@pytest.mark.parametrize(("percent", "truth"), [((0, 7), 0), ((3, 7), 2), ((3,), 3)])
def test_what_does_not_fit_is_refused(percent, truth):
    with pytest.raises(DataError, match="calibration: expected percentages"):
        calibration(np.ones(percent), np.zeros(truth, dtype=int))


def test_a_coverage_keeps_the_answers_above_its_threshold(rng):
    confidence, right = rng.integers(1, 20, 200) * 5.0, rng.random(200) < 0.6
    for least in np.unique(confidence):
        kept = confidence >= least
        share = 100 * kept.mean()
        assert confidence_at_coverage(confidence, share) == least
        assert accuracy_at_coverage(confidence, right, share) == pytest.approx(100 * right[kept].mean())


def test_the_order_of_equal_answers_does_not_matter(rng):
    confidence, right = np.array([90.0, 50.0, 50.0, 50.0]), np.array([True, True, False, False])
    for order in (np.arange(4), np.arange(4)[::-1], rng.permutation(4)):
        assert accuracy_at_coverage(confidence[order], right[order], 50) == pytest.approx(100 * (1 + 1 / 3) / 2)
    assert accuracy_at_coverage(confidence, right, 100) == 50
    assert accuracy_at_coverage(confidence, right, 1) == 100


@pytest.mark.parametrize("temperature", [0.3, 1.0, 4.0])
def test_a_temperature_is_found_again(rng, temperature):
    similarities, truth = simulated(rng, 20_000, temperature=temperature)
    found = fitted_temperature(similarities, SCALE, truth)
    assert found == pytest.approx(temperature, rel=0.05)
    best = minimize_scalar(
        lambda t: log_loss(truth, softmax_percent(similarities, SCALE / t) / 100, labels=range(7)),
        bounds=(temperature / 2, temperature * 2),
        options={"xatol": 1e-6},
    )
    assert found == pytest.approx(best.x, rel=1e-3)
    assert calibration(softmax_percent(similarities, SCALE / found), truth).ece < 1.5


def test_a_temperature_that_labels_do_not_bound_is_an_end_of_the_range(rng):
    similarities, _ = simulated(rng, 200)
    assert fitted_temperature(similarities, SCALE, similarities.argmax(axis=1)) == RANGE[0]
    assert fitted_temperature(similarities, SCALE, similarities.argmin(axis=1)) == RANGE[1]
