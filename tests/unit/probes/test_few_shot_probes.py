"""Few-shot probes: stratified draws, tested on what was not drawn, the same as plain scikit-learn."""

from zlib import crc32

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score

from expclip_cache.probes import ProbeSettings
from expclip_cache.probes.few_shot import few_shot, possible_shots, uar_and_war
from expclip_cache.probes.probe import ITERATIONS
from expclip_cache.probes.splits import drawn
from probe_sets import CLIP, probe_set

SETTINGS = ProbeSettings(shots=(1, 4), draws=3)
OWN = probe_set("own", (30, 20, 12), spread=2)
OTHER = probe_set("other", (20, 30, 25), seed=4, spread=2)


def found(*sets, settings=SETTINGS):
    return {(one.test_set, one.shots): one for one in few_shot(sets[0], sets, settings)}


@pytest.mark.parametrize("test", [OWN, OTHER], ids=["own", "other"])
@pytest.mark.parametrize("shots", [1, 4])
def test_scores_are_those_of_plain_logistic_regression_on_what_was_not_drawn(test, shots):
    one = found(OWN, OTHER)[test.name, shots]
    for draw in range(3):
        rows = drawn(OWN.labels, shots, [SETTINGS.seed, crc32(b"own"), draw])
        assert np.bincount(OWN.labels[rows]).tolist() == [shots] * 3
        left = np.setdiff1d(np.arange(len(test.labels)), rows) if test is OWN else np.arange(len(test.labels))
        assert one.items[draw] == len(left)
        model = LogisticRegression(C=10, max_iter=ITERATIONS).fit(OWN.features[rows], OWN.labels[rows])
        answers = model.predict(test.features[left])
        expected = [balanced_accuracy_score(test.labels[left], answers), np.mean(test.labels[left] == answers)]
        assert one.scores[None][draw] == pytest.approx(100 * np.array(expected))
        clip = test.similarities[CLIP][0][left].argmax(axis=1)
        assert one.scores[CLIP][draw, 0] == pytest.approx(100 * balanced_accuracy_score(test.labels[left], clip))


def test_another_copy_of_a_drawn_image_is_not_tested():
    copy = probe_set("copy", (30, 20, 12), seed=9, images=OWN.images.tolist())
    assert found(OWN, copy)["copy", 4].items == (62 - 12,) * 3


def test_shots_that_would_leave_a_class_without_test_items_are_left_out():
    settings = ProbeSettings(shots=(1, 11, 12, 16))
    assert possible_shots(OWN, settings) == [1, 11]
    assert {shots for _, shots in found(OWN, settings=settings)} == {1, 11}
    assert possible_shots(probe_set("gap", (9, 0, 5)), settings) == [1]


def test_of_a_set_with_other_classes_the_common_ones_are_tested():
    test = probe_set("more", (10, 10, 10), classes=("fear", "pride", "sadness"), spread=0.1)
    one = found(OWN, test)["more", 1]
    assert (one.classes, one.items) == (2, (20, 20, 20))
    assert not [key for key in found(OWN, probe_set("none", (9, 9), classes=("pride", "envy"))) if key[0] == "none"]


def test_recalls_count_once_however_many_items_a_class_has():
    truth, right = np.array([0, 0, 0, 2]), np.array([1.0, 0.5, 0.0, 1.0])
    assert uar_and_war(truth, right) == pytest.approx((75.0, 62.5))
