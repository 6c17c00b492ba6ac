"""The rules from log-likelihoods to answers, against sums that are written out."""

import math

import numpy as np
import pytest

from expclip_cache.scoring.answer_rules import RULES, ClassNames, class_scores, greedy_agreement

NAMES = ClassNames(("happiness", "anger"), (2, 1), (3, 1, 2))
"""Happiness is called happiness (three tokens) or joy (one); anger has one name of two tokens."""

ITEMS = np.log([[0.10, 0.20, 0.25], [0.02, 0.03, 0.04]])
FACES = np.log([[0.10, 0.10, 0.40], [0.20, 0.20, 0.40]])


def test_raw_is_the_log_of_the_sum_of_a_classs_likelihoods():
    expected = np.log([[0.30, 0.25], [0.05, 0.04]])
    np.testing.assert_allclose(class_scores(ITEMS, FACES, NAMES)["raw"], expected, rtol=1e-6)


def test_length_normalised_is_the_best_name_per_token():
    def best(row: np.ndarray) -> list[float]:
        return [max(row[0] / 3, row[1] / 1), row[2] / 2]

    found = class_scores(ITEMS, FACES, NAMES)["length-normalised"]
    np.testing.assert_allclose(found, [best(row) for row in ITEMS], rtol=1e-6)


def test_calibrated_is_raw_without_its_mean_over_other_faces():
    means = [(math.log(0.2) + math.log(0.4)) / 2, math.log(0.4)]
    expected = np.log([[0.30, 0.25], [0.05, 0.04]]) - means
    np.testing.assert_allclose(class_scores(ITEMS, FACES, NAMES)["calibrated"], expected, rtol=1e-6)


def test_a_language_model_that_prefers_a_word_is_right_once_calibrated():
    """Twenty nats for the second class whatever the face: raw answers it always, calibrated answers what is seen."""
    random = np.random.default_rng(1)
    truth = np.arange(60) % 3
    names = ClassNames(("a", "b", "c"), (1, 1, 1), (1, 1, 1))
    habit, seen = np.array([-5.0, 15.0, -9.0]), 2 * np.eye(3)[truth]
    items = habit + seen + random.normal(0, 0.1, (60, 3))
    faces = habit + 2 * np.eye(3)[random.integers(0, 3, 400)]
    found = class_scores(items, faces, names)
    assert set(found["raw"].argmax(axis=1)) == {1}
    np.testing.assert_array_equal(found["calibrated"].argmax(axis=1), truth)


def test_one_name_of_one_token_for_each_class_gives_the_same_scores_raw_and_normalised():
    names = ClassNames(("a", "b", "c"), (1, 1, 1), (1, 1, 1))
    found = class_scores(ITEMS, FACES, names)
    np.testing.assert_array_equal(found["raw"], found["length-normalised"])
    np.testing.assert_array_equal(found["raw"], ITEMS.astype("f4"))


def test_likelihoods_far_below_what_a_float_holds_are_summed():
    found = class_scores(ITEMS - 2000, FACES, NAMES)
    np.testing.assert_allclose(found["raw"], class_scores(ITEMS, FACES, NAMES)["raw"] - 2000, rtol=1e-6)
    assert all(np.isfinite(found[rule]).all() for rule in RULES)


def test_greedy_answers_agree_by_class_and_not_by_name():
    written = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0]])
    found = greedy_agreement(written, np.array([0, 0, 0, 0]), NAMES)
    assert (found.agreement, found.no_name) == (50, 25)


@pytest.mark.parametrize(("answered", "agreement"), [(0, 100), (1, 0)])
def test_a_clips_greedy_answer_is_what_most_of_its_frames_name(answered, agreement):
    frames = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0]])
    found = greedy_agreement(frames.mean(axis=0, keepdims=True), np.array([answered]), NAMES)
    assert (found.agreement, found.no_name) == (agreement, 0)
