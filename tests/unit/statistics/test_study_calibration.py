"""The calibration of a study from files of predictions, and its csv files."""

import csv
from dataclasses import fields, replace

import numpy as np
import pytest

from expclip_cache.base.errors import DataError
from expclip_cache.cache.reader import FeatureCache
from expclip_cache.scoring.percentages import softmax_percent
from expclip_cache.scoring.prediction_file import Prediction, PredictionFile, write_predictions
from expclip_cache.scoring.results import Classifier
from expclip_cache.statistics.calibration import calibration
from expclip_cache.statistics.calibration_results import CalibrationRow, StudyCalibration
from expclip_cache.statistics.study_calibration import study_calibration
from expclip_cache.statistics.system import Row, System
from expclip_cache.statistics.tables import read_calibration, write_calibration
from labelled_caches import write_labelled

CLASSES = ("happiness", "sadness", "neutral")
CLIP, RIDGE = Classifier("reference", 5), Classifier("reference", 5, "t5", "ridge")
SEEDS = [Classifier("reference", 5, "t5", "contrastive", seed) for seed in (1, 2)]
N = 300


@pytest.fixture(scope="module")
def truth():
    return np.arange(N) % 3


@pytest.fixture(scope="module")
def similarities(truth):
    """Of every classifier: the better one is, the more its true class stands out."""
    rng = np.random.default_rng(3)
    shown = np.eye(3)[truth]
    strengths = {CLIP: 0.005, SEEDS[0]: 0.02, SEEDS[1]: 0.025, RIDGE: 0.04}
    return {
        one: (strength * shown + rng.normal(0, 0.015, (N, 3))).astype(np.float32) for one, strength in strengths.items()
    }


@pytest.fixture(scope="module")
def found(tmp_path_factory, truth, similarities) -> StudyCalibration:
    folder = tmp_path_factory.mktemp("study")
    paths = [f"{item}.png" for item in range(N)]
    write_labelled(folder / "images", np.ones((N, 2)), truth, paths, CLASSES)
    predictions = {one: Prediction(each.argmax(axis=1), each) for one, each in similarities.items()}
    write_predictions(folder / "p.parquet", FeatureCache(folder / "images"), predictions, scores="none")
    return study_calibration({"raf-db": {"b32": PredictionFile(folder / "p.parquet")}})


def row(head: str) -> Row:
    return Row(System("b32", "t5" if head else "", head, "reference"), 5)


def test_a_row_is_the_mean_over_its_seeds(found, truth, similarities):
    each = [calibration(softmax_percent(similarities[one], 100), truth) for one in SEEDS]
    measured, _ = found.of("raf-db", row("contrastive"))
    assert (measured.items, measured.seeds) == (N, 2)
    for name in ("accuracy", "confidence", "ece", "ece_if_calibrated", "nll"):
        assert getattr(measured, name) == pytest.approx(np.mean([getattr(one, name) for one in each]))


def test_the_half_that_a_threshold_keeps_has_the_accuracy_that_is_told(found, truth, similarities):
    """As `predict --min-confidence` would leave them out."""
    percent = softmax_percent(similarities[RIDGE], 100)
    measured, _ = found.of("raf-db", row("ridge"))
    for share, least, accuracy in (
        (80, measured.min_confidence_80, measured.accuracy_80),
        (50, measured.min_confidence_50, measured.accuracy_50),
    ):
        sure = percent.max(axis=1) >= least
        assert 100 * sure.mean() == share
        assert 100 * np.mean(percent.argmax(axis=1)[sure] == truth[sure]) == pytest.approx(accuracy)
    assert measured.accuracy_50 > measured.accuracy


def test_the_temperature_is_one_of_predict(found, truth, similarities):
    measured, _ = found.of("raf-db", row(""))
    tempered = softmax_percent(similarities[CLIP], 100 / measured.temperature)
    assert calibration(tempered, truth).ece == pytest.approx(measured.ece_at_temperature)
    others = [calibration(softmax_percent(similarities[CLIP], 100 / t), truth).nll
              for t in (measured.temperature * 0.98, measured.temperature, measured.temperature * 1.02)]  # fmt: skip
    assert others[1] == min(others)


def test_the_bins_hold_the_answers_of_all_seeds(found):
    for head, seeds in (("", 1), ("contrastive", 2), ("ridge", 1)):
        measured, bins = found.of("raf-db", row(head))
        assert [each.bin for each in bins] == list(range(1, 16))
        assert sum(each.answers for each in bins) == N * seeds
        filled = [each for each in bins if each.answers]
        assert all(100 * (each.bin - 1) / 15 < each.confidence <= 100 * each.bin / 15 for each in filled)
        assert all((each.confidence, each.accuracy) == (None, None) for each in bins if not each.answers)
        accuracy = sum(each.answers * each.accuracy for each in filled) / N / seeds
        assert accuracy == pytest.approx(measured.accuracy)
        if seeds == 1:
            gaps = sum(each.answers * abs(each.confidence - each.accuracy) for each in filled) / N
            assert gaps == pytest.approx(measured.ece)


def test_files_are_read_as_they_were_written(found, tmp_path):
    names = tmp_path / "calibration.csv", tmp_path / "reliability.csv"
    write_calibration(found, tmp_path)
    before = [name.read_bytes() for name in names]
    read = read_calibration(tmp_path)
    write_calibration(read, tmp_path)
    assert [name.read_bytes() for name in names] == before
    for one, other in zip(found.rows, read.rows, strict=True):
        for field in fields(CalibrationRow):
            value = getattr(one, field.name)
            expected = pytest.approx(value, abs=5e-4) if isinstance(value, float) else value
            assert getattr(other, field.name) == expected
    lines = list(csv.DictReader(names[1].open()))
    assert len(lines) == 3 * 15
    assert all((line["confidence"] == "") == (line["answers"] == "0") for line in lines)


def test_files_of_another_study_are_refused(found):
    with pytest.raises(DataError, match=r"results/statistics: expected ferplus with b32, t5, ridge, reference, "):
        found.of("ferplus", row("ridge"))
    cut = replace(found, bins=found.bins[:-1])
    with pytest.raises(DataError, match=r"expected raf-db"):
        cut.of("raf-db", row("ridge"))


@pytest.mark.parametrize("change", [lambda text: text[: len(text) // 2], lambda text: text.replace("300", "many")])
def test_a_damaged_file_is_refused(found, tmp_path, change):
    names = tmp_path / "calibration.csv", tmp_path / "reliability.csv"
    write_calibration(found, tmp_path)
    names[0].write_text(change(names[0].read_text()))
    with pytest.raises(DataError, match=r"calibration\.csv: is damaged"):
        read_calibration(tmp_path)


def test_a_missing_file_is_refused(found, tmp_path):
    names = tmp_path / "calibration.csv", tmp_path / "reliability.csv"
    write_calibration(found, tmp_path)
    names[1].unlink()
    with pytest.raises(DataError, match=r"reliability\.csv: cannot be read"):
        read_calibration(tmp_path)
