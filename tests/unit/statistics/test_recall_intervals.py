"""Intervals of the recall of each class, against the beta distribution and against those of UAR."""

import numpy as np
import pytest
from scipy.stats import beta

from expclip_cache.base import CANONICAL
from expclip_cache.cache import FeatureCache
from expclip_cache.scoring import Classifier, PredictionFile
from expclip_cache.scoring.prediction_file import Prediction, write_predictions
from expclip_cache.statistics import Row, StatisticsSettings, System, recall_intervals
from labelled_caches import write_labelled

PLAIN = Row(System("clip", "", "", "reference"), 5)
HEAD = Row(System("clip", "t5", "sgd", "reference"), 5)
SETTINGS = StatisticsSettings(resamples=100_000)


TRUTH = np.repeat([0, 1, 2], [10, 40, 25])
WRONG = {None: (3, 20, 0), 1: (2, 10, 5), 2: (2, 10, 5)}
"""Seed, or None for plain CLIP -> mistakes in each class."""


@pytest.fixture
def predictions(tmp_path) -> PredictionFile:
    """Of 10, 40 and 25 items of three classes; the last of four has no items."""
    found = {}
    for seed, wrong in WRONG.items():
        predicted = TRUTH.copy()
        for start, count in zip((0, 10, 50), wrong, strict=True):
            predicted[start : start + count] = 3
        classifier = Classifier("reference", 5, *(("t5", "sgd", seed) if seed else ()))
        found[classifier] = Prediction(predicted, np.zeros((75, 4), dtype=np.float32))
    paths = [f"{row}.png" for row in range(75)]
    write_labelled(tmp_path / "images", np.ones((75, 3)), TRUTH, paths, CANONICAL[:4])
    write_predictions(tmp_path / "raf-db.parquet", FeatureCache(tmp_path / "images"), found, scores="")
    return PredictionFile(tmp_path / "raf-db.parquet")


@pytest.mark.parametrize(("row", "wrong"), [(PLAIN, WRONG[None]), (HEAD, WRONG[1])])
def test_an_interval_is_that_of_a_beta_distribution(row, wrong, predictions):
    found = recall_intervals({"clip": predictions}, [row], SETTINGS, "raf-db")[row]
    for interval, n, count in zip(found, (10, 40, 25), wrong, strict=False):
        expected = 100 * beta.ppf([0.025, 0.975], n - count + 1 / 3, count + 1 / 3)
        assert (interval.low, interval.high) == pytest.approx(expected, abs=0.35)


def test_a_class_without_items_has_none_and_only_what_is_asked_for_is_computed(predictions):
    found = recall_intervals({"clip": predictions}, [HEAD], SETTINGS, "raf-db")
    assert list(found) == [HEAD]
    assert found[HEAD][3] is None
    assert len(found[HEAD]) == 4
