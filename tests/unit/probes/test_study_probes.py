"""Probes of a study: the same as scikit-learn on exported features, beside the study's own scores, and never stale."""

import csv
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, balanced_accuracy_score

from expclip_cache.base import DataError, SettingsError, SilentReporter
from expclip_cache.cache import FeatureCache
from expclip_cache.datasets import DatasetSettings, builtin_definitions
from expclip_cache.probes import ProbeSettings, SquareRow, probe_study, read_probes, write_probes
from expclip_cache.probes.probe import ITERATIONS
from expclip_cache.scoring import read_score_file
from expclip_cache.settings import PROBES, image_features, score_file, study_probe_inputs
from expclip_cache.settings.study_probes import STALE, sets_with_folds, study_probes
from expclip_cache.statistics import StatisticsSettings
from labelled_caches import write_labelled
from sample_results import study, write_results
from tiny_study import RecordingReporter

STUDY = study(backbones=("b32", "b16"), test_sets=("clean", "grey"), seeds=2)
SETTINGS = ProbeSettings(shots=(1, 4), draws=2)
FEW = StatisticsSettings(resamples=200)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    write_results(folder, STUDY, items=84)
    return folder


@pytest.fixture
def project(written, tmp_path, monkeypatch):
    """The study in a copy, which is the current folder."""
    shutil.copytree(written, tmp_path / "project")
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path / "project"


def run(settings=SETTINGS, report=None):
    return probe_study(study_probe_inputs(STUDY), settings, FEW, report or SilentReporter())


def all_scores():
    return [
        read_score_file(score_file(backbone, name)) for backbone in STUDY.backbones for name in STUDY.score.datasets
    ]


def exported(backbone: str, test_set: str) -> tuple[np.ndarray, np.ndarray]:
    """Features at unit length and labels, as a user exports them."""
    frame = FeatureCache(image_features(backbone, test_set)).to_pandas()
    frame = frame[frame["skipped"].isna()]
    features = frame.filter(regex="^f\\d+$").to_numpy(dtype=np.float64)
    return features / np.linalg.norm(features, axis=1, keepdims=True), frame["label"].to_numpy()


def row_of(rows, **values):
    (found,) = [row for row in rows if all(getattr(row, key) == value for key, value in values.items())]
    return found


@pytest.mark.parametrize("backbone", ["b32", "b16"])
@pytest.mark.parametrize(("train", "test"), [("clean", "grey"), ("grey", "clean")])
def test_a_cell_is_scikit_learn_on_exported_features(project, backbone, train, test):
    row = row_of(run().square, backbone=backbone, trained_on=train, test_set=test, method="probe")
    model = LogisticRegression(C=1 / float(row.l2), max_iter=ITERATIONS)
    answers = model.fit(*exported(backbone, train)).predict(exported(backbone, test)[0])
    truth = exported(backbone, test)[1]
    assert row.uar == pytest.approx(100 * balanced_accuracy_score(truth, answers))
    assert row.war == pytest.approx(100 * accuracy_score(truth, answers))
    assert row.uar_low <= row.uar <= row.uar_high
    assert (row.items, row.trained_items) == (len(truth), len(exported(backbone, train)[1]))


def test_zero_shot_classifiers_have_the_scores_and_intervals_of_the_study(project):
    found = run()
    scores = pd.read_csv("results/scores.csv", keep_default_na=False)
    highest = scores[scores["prompt_type"] == 5]
    for row in found.square:
        if row.method == "zero-shot":
            own = highest[(highest["test_set"] == row.test_set) & (highest["backbone"] == row.backbone)]
            own = own[own["head"] == row.head]
            assert row.prompt_type == 5
            assert len(own) == (2 if row.head == "contrastive" else 1)
            assert (row.uar, row.war) == pytest.approx((own["uar"].mean(), own["war"].mean()), abs=1e-3)
    assert len(found.square) == 2 * 4 * 4
    whole = probe_study(study_probe_inputs(STUDY), SETTINGS, STUDY.statistics, SilentReporter())
    intervals = pd.read_csv("results/statistics/intervals.csv", keep_default_na=False)
    for row in whole.square:
        if row.method == "zero-shot" and row.head != "contrastive":
            keys = {"test_set": row.test_set, "backbone": row.backbone, "head": row.head, "prompt_type": 5}
            (own,) = intervals[
                np.logical_and.reduce([intervals[key] == value for key, value in keys.items()])
            ].itertuples()
            assert (row.uar_low, row.war_high) == pytest.approx((own.uar_low, own.war_high), abs=1e-3)


def test_few_shot_rows_have_every_setting(project):
    rows = [row for row in run().few_shot if row.backbone == "b16"]
    assert {(row.test_set, row.shots) for row in rows} == {(name, n) for name in ("clean", "grey") for n in (1, 4)}
    probes = [row for row in rows if row.method == "probe"]
    assert {(row.trained_on, row.draws, row.l2, row.seed) for row in probes} == {("clean", 2, "0.1", 1)}
    # One row of the first test set has no features.
    assert row_of(probes, test_set="clean", shots=4).items == 83 - 28
    assert row_of(probes, test_set="grey", shots=4).items == 84
    other = run(ProbeSettings(few_shot_on="grey", shots=(2,), few_shot_l2=10, seed=3))
    assert {(row.trained_on, row.shots, row.seed) for row in other.few_shot} == {("grey", 2, 3)}


def test_what_is_written_is_read_and_the_same_run_writes_the_same(project):
    found = run()
    write_probes(found, Path("one"))
    write_probes(run(), Path("two"))
    for name in ("square.csv", "few_shot.csv"):
        assert (Path("one") / name).read_bytes() == (Path("two") / name).read_bytes()
    read = read_probes(Path("one"))
    assert read is not None
    for before, after in zip(found.square, read.square, strict=True):
        assert replace(before, **{key: getattr(after, key) for key in vars(after) if "ar" in key}) == after
        assert after.uar == pytest.approx(before.uar, abs=1e-3)
    assert read_probes(Path("nowhere")) is None
    (Path("one") / "few_shot.csv").unlink()
    with pytest.raises(DataError, match=r"few_shot.csv.*expclip-cache probe"):
        read_probes(Path("one"))
    (Path("two") / "square.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match=r"square.csv: is damaged.*expclip-cache probe"):
        read_probes(Path("two"))


def written_for(statistics) -> None:
    settings = STUDY.model_copy(update={"statistics": statistics})
    write_probes(probe_study(study_probe_inputs(settings), SETTINGS, statistics, SilentReporter()), PROBES)


def test_results_of_these_features_are_current(project):
    assert study_probes(STUDY, all_scores()) == (None, "")
    written_for(STUDY.statistics)
    found, note = study_probes(STUDY, all_scores())
    assert found is not None
    assert (found.backbones, note) == (("b32", "b16"), "")


@pytest.mark.parametrize("change", ["scores", "statistics", "backbone", "code", "test set"])
def test_results_of_other_features_are_noticed(project, change, monkeypatch):
    settings, scores = STUDY, all_scores()
    written_for(STUDY.statistics)
    if change == "scores":
        scores[3] = replace(scores[3], images={**scores[3].images, "fingerprint": "another"})
    elif change == "statistics":
        settings = STUDY.model_copy(update={"statistics": FEW})
    elif change == "backbone":
        settings = STUDY.model_copy(update={"backbones": {"b32": STUDY.backbones["b32"]}})
    elif change == "code":
        monkeypatch.setattr("expclip_cache.probes.made_from.source_sha256", lambda package: "another")
    else:
        scores = [one for one in scores if one.test_set == "clean"]
    assert study_probes(settings, scores) == (None, STALE)


def test_features_that_are_not_those_of_the_scores_are_refused(project):
    folder = image_features("b16", "grey")
    cache = FeatureCache(folder)
    arguments = cache[:], cache.labels, cache.paths(), cache.classes
    shutil.rmtree(folder)
    write_labelled(folder, *arguments, weights="other")
    with pytest.raises(DataError, match=r"b16/grey: expected the features behind .*dvc repro scores"):
        study_probe_inputs(STUDY)


def test_what_cannot_be_done_is_said(project):
    report = RecordingReporter()
    found = run(ProbeSettings(shots=(2, 99), draws=1), report)
    assert {row.shots for row in found.few_shot} == {2}
    assert any("clean: no 99 items of every class can be drawn" in line for line in report.lines)
    with pytest.raises(SettingsError, match="expected one of the test sets clean, grey, found 'raf-db'"):
        run(ProbeSettings(few_shot_on="raf-db"))


def test_the_folds_of_a_set_are_one_test_set():
    dfew = builtin_definitions()["dfew"]
    sets = {f"dfew-{fold}": DatasetSettings(source=str(dfew), fold=fold) for fold in (1, 2, 5)}
    plain = DatasetSettings(source="photos", layout="image-folders")
    assert sets_with_folds({"a": plain, **sets, "b": plain}) == {"a": ["a"], "dfew": [*sets], "b": ["b"]}
    assert sets_with_folds({"dfew-2": sets["dfew-2"]}) == {"dfew-2": ["dfew-2"]}


def test_the_files_have_a_column_for_every_field(project):
    write_probes(run(), PROBES)
    with (PROBES / "square.csv").open() as file:
        assert next(csv.reader(file)) == list(SquareRow.__dataclass_fields__)
