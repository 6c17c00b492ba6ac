"""Teachers of a study: heads and scores are those of plain NumPy and scikit-learn, and results are never stale."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, balanced_accuracy_score

from expclip_cache.base import CacheError, DataError, SettingsError, SilentReporter
from expclip_cache.cache import FeatureCache
from expclip_cache.heads import Moments, RidgeSettings, fit_ridge
from expclip_cache.prompts import prompt_table
from expclip_cache.scoring import read_score_file, score
from expclip_cache.settings import TEACHERS, Settings, image_features, prompt_features, score_file, study_teacher_inputs
from expclip_cache.settings.study_teachers import STALE, ridge_settings, study_teachers
from expclip_cache.teachers import TeacherRow, TestSetRow, compare_teachers, read_teachers, write_teachers
from expclip_cache.teachers.fit import fit_state
from expclip_cache.teachers.state_sums import sum_states
from ridge_witness import relative_error, witness
from teacher_study import STATES, teacher_study, write_teacher_study
from tiny_caches import write_cache
from tiny_study import RecordingReporter

STUDY = teacher_study(backbones=("b32", "b16"))
TARGETS = Path("features/targets")


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    write_teacher_study(folder, STUDY)
    return folder


@pytest.fixture
def project(written, tmp_path, monkeypatch):
    """The study in a copy, which is the current folder."""
    shutil.copytree(written, tmp_path / "project")
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path / "project"


def compare(settings=STUDY, backbones=("b32", "b16"), report=None):
    return compare_teachers(study_teacher_inputs(settings, backbones), settings.statistics, report or SilentReporter())


def all_scores(settings=STUDY):
    return [
        read_score_file(score_file(backbone, name))
        for backbone in settings.backbones
        for name in settings.score.datasets
    ]


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def by_numpy(backbone: str, row: TeacherRow, targets: np.ndarray) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Test set -> true classes and predictions of a head that least squares fits."""
    images = FeatureCache(image_features(backbone, "demo-train"))
    rows = images.good_rows
    fitted = rows[(rows + 1) % 5 != 0]  # a fifth is held out: every fifth row
    W = witness(images[fitted].astype(float), targets[fitted].astype(float), float(row.relative_lambda))
    prompts = FeatureCache(prompt_features(backbone))
    texts = dict(zip(prompts.paths(), prompts[:].astype(float), strict=True))
    found = {}
    for name in ("clean", "grey"):
        test = FeatureCache(image_features(backbone, name))
        table = prompt_table("reference", (5,), test.classes)
        classes = [
            unit(np.stack([texts[one.text] for one in table if one.class_name == c]) @ W.T).mean(axis=0)
            for c in test.classes
        ]
        answers = (unit(test[test.good_rows].astype(float) @ W.T) @ np.stack(classes).T).argmax(axis=1)
        found[name] = test.labels[test.good_rows], answers
    return found


@pytest.mark.parametrize("backbone", ["b32", "b16"])
def test_every_row_has_the_scores_of_a_head_by_least_squares(project, backbone):
    found = compare()
    rows = [row for row in found.teachers if row.backbone == backbone]
    assert [row.key for row in rows] == [
        *((name, "all", 1.0) for name in ("knows", "ignores")),
        *(("vlm", read, layer) for read in ("last", "text") for layer in (0.5, 1.0)),
    ]
    for row in rows:
        targets = FeatureCache(TARGETS / row.teacher / "demo-train")[:]
        if row.teacher == "vlm":
            number = STATES.index(f"{row.read}@{row.layer:g}")
            targets = targets[:, 20 * number : 20 * (number + 1)]
        expected = by_numpy(backbone, row, targets)
        tests = [one for one in found.test_sets if (one.backbone, one.key) == (backbone, row.key)]
        assert [one.test_set for one in tests] == ["clean", "grey", ""]
        for one in tests[:2]:
            truth, answers = expected[one.test_set]
            assert one.uar == pytest.approx(100 * balanced_accuracy_score(truth, answers))
            assert one.war == pytest.approx(100 * accuracy_score(truth, answers))
            assert one.items == len(truth)
            assert one.uar_low <= one.uar <= one.uar_high
        assert row.uar == pytest.approx(np.mean([one.uar for one in tests[:2]]))
        assert (row.uar_low, row.uar_high) == (tests[2].uar_low, tests[2].uar_high)
        assert (row.rows, row.held_out) == (320 - 1, 80)


def test_the_head_of_a_state_is_that_of_fit_ridge(project):
    (inputs,) = study_teacher_inputs(STUDY, ["b32"])
    settings = ridge_settings(STUDY, "b32")
    assert settings.held_out == 0.2
    for targets in inputs.targets:
        sums = sum_states(inputs.images, targets, inputs.fitted)
        for state, own in enumerate(sums):
            head = fit_state(inputs, targets, state, own)
            several = state if len(targets.states) > 1 else None
            expected = fit_ridge(inputs.images, FeatureCache(targets.cache.store, vector=several), settings)
            assert head is not None
            assert head.relative_lambda == expected.relative_lambda
            assert relative_error(head.weights, expected.weights) < 1e-5


def test_the_sums_of_all_states_share_one_over_the_images(project):
    (inputs,) = study_teacher_inputs(STUDY, ["b32"])
    *_, vlm = inputs.targets
    x, y = inputs.images[inputs.fitted].astype(float), vlm.read(inputs.fitted)
    sums = sum_states(inputs.images, vlm, inputs.fitted)
    again = sum_states(inputs.images, vlm, inputs.fitted, sums[0].xx)
    np.testing.assert_allclose(sums[0].xx, x.T @ x)
    for state, (own, other) in enumerate(zip(sums, again, strict=True)):
        whole = Moments(x.shape[1], y.shape[2])
        whole.add_rows(x, y[:, state])
        assert own.rows == other.rows == whole.rows
        np.testing.assert_allclose(own.xy, whole.xy)
        assert own.xx is sums[0].xx is other.xx
        assert (own.xy == other.xy).all()


def test_plain_clip_has_the_scores_and_intervals_of_the_study(project):
    found = compare()
    scores = pd.read_csv("results/scores.csv", keep_default_na=False)
    intervals = pd.read_csv("results/statistics/intervals.csv", keep_default_na=False)
    clip = [row for row in found.test_sets if not row.teacher]
    assert [(row.backbone, row.test_set) for row in clip] == [
        (b, t) for b in ("b32", "b16") for t in ("clean", "grey", "")
    ]
    for row in (row for row in clip if row.test_set):
        for table, value in ((scores, row.uar), (intervals, row.uar_low)):
            own = table[(table["test_set"] == row.test_set) & (table["backbone"] == row.backbone)]
            (line,) = own[(own["head"] == "") & (own["prompt_type"] == 5)].itertuples()
            assert value == pytest.approx(line.uar if table is scores else line.uar_low, abs=1e-3)


def test_the_row_of_a_teacher_with_a_head_has_the_scores_of_that_head(project):
    """The study's own ridge head, fitted as its stage fits it."""
    (inputs,) = study_teacher_inputs(STUDY, ["b32"])
    head = fit_ridge(inputs.images, inputs.targets[0].cache, ridge_settings(STUDY, "b32"))
    for name in ("clean", "grey"):
        cached = FeatureCache(image_features("b32", name)), FeatureCache(prompt_features("b32"))
        (expected,) = score(
            *cached, {"ridge": head.weights}, STUDY.prompts["reference"].model_copy(update={"types": (5,)})
        )
        (row,) = [
            row for row in compare(backbones=("b32",)).test_sets if (row.teacher, row.test_set) == ("knows", name)
        ]
        assert (row.uar, row.war) == pytest.approx((expected.heads["ridge"].uar, expected.heads["ridge"].war))


def test_agreement_prefers_the_teacher_that_knows_the_classes(project):
    rows = {row.key: row for row in compare(backbones=("b32",)).teachers}
    knows, ignores = rows["knows", "all", 1.0], rows["ignores", "all", 1.0]
    assert knows.uar > ignores.uar + 20
    assert knows.agreement > ignores.agreement + 20


def test_what_is_written_is_read_and_the_same_run_writes_the_same(project):
    found = compare()
    write_teachers(found, Path("one"))
    write_teachers(compare(), Path("two"))
    for name, kind in (("teachers.csv", TeacherRow), ("test_sets.csv", TestSetRow)):
        assert (Path("one") / name).read_bytes() == (Path("two") / name).read_bytes()
        assert list(pd.read_csv(Path("one") / name)) == list(kind.__dataclass_fields__)
    read = read_teachers(Path("one"))
    assert read is not None
    for before, after in zip(found.teachers, read.teachers, strict=True):
        assert (after.key, after.instruction, after.relative_lambda) == (
            before.key,
            before.instruction,
            before.relative_lambda,
        )
        assert after.agreement == pytest.approx(before.agreement, abs=1e-3)
    assert read_teachers(Path("nowhere")) is None
    (Path("one") / "test_sets.csv").unlink()
    with pytest.raises(DataError, match=r"test_sets.csv.*expclip-cache teachers"):
        read_teachers(Path("one"))
    (Path("two") / "teachers.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match=r"teachers.csv: is damaged.*expclip-cache teachers"):
        read_teachers(Path("two"))


def test_results_of_these_features_are_current(project):
    assert study_teachers(STUDY, all_scores()) == (None, "")
    write_teachers(compare(), TEACHERS)
    found, note = study_teachers(STUDY, all_scores())
    assert found is not None
    assert (found.backbones, note) == (("b32", "b16"), "")
    write_teachers(compare(backbones=("b16",)), TEACHERS)
    found, note = study_teachers(STUDY, all_scores())
    assert found is not None
    assert found.backbones == ("b16",)


def changed(settings: Settings, section: str, **update: object) -> Settings:
    tree = settings.model_dump(exclude_unset=True)
    return Settings.model_validate(tree | {section: {**tree[section], **update}})


@pytest.mark.parametrize(
    "change",
    ["test features", "statistics", "ridge", "instruction", "new teacher", "targets", "no targets", "states", "code"],
)
def test_results_of_other_features_are_noticed(project, change, monkeypatch):
    settings, scores = STUDY, all_scores()
    write_teachers(compare(), TEACHERS)
    vlm = STUDY.model_dump(exclude_unset=True)["teachers"]["vlm"]
    if change == "test features":
        other = {**scores[3].prompt_sets["reference"].made_by, "images": "another"}
        sets = {"reference": replace(scores[3].prompt_sets["reference"], made_by=other)}
        scores[3] = replace(scores[3], prompt_sets=sets)
    elif change == "statistics":
        settings = changed(STUDY, "statistics", confidence=90)
    elif change == "ridge":
        settings = changed(STUDY, "heads", ridge={"kind": "ridge", "tolerance": 0.1})
    elif change == "instruction":
        settings = changed(STUDY, "teachers", vlm=vlm | {"instruction": "Another."})
    elif change == "new teacher":
        shutil.copytree(TARGETS / "knows", TARGETS / "new")
        settings = changed(STUDY, "teachers", new={"model": "demo"})
    elif change == "targets":
        shutil.rmtree(TARGETS / "knows/demo-train")
        eye = np.eye(400, 20, dtype="f2")
        write_cache(TARGETS / "knows/demo-train", eye, 48, manifest="train", width=20, weights_sha256="other")
    elif change == "no targets":
        shutil.rmtree(TARGETS / "knows")
    elif change == "states":
        settings = changed(STUDY, "teachers", vlm=vlm | {"keep_reads": ["all"]})
    else:
        monkeypatch.setattr("expclip_cache.teachers.made_from.source_sha256", lambda *packages: "another")
    assert study_teachers(settings, scores) == (None, STALE)


def test_a_head_of_the_study_does_not_make_results_stale(project):
    write_teachers(compare(), TEACHERS)
    more = changed(STUDY, "heads", contrastive={"kind": "contrastive", "teachers": ["knows"]})
    assert study_teachers(more, all_scores())[1] == ""


def test_without_a_ridge_head_that_chooses_lambda_the_defaults_count():
    fixed = {"kind": "ridge", "choose": "fixed", "held_out": 0.3}
    assert ridge_settings(changed(STUDY, "heads", ridge=fixed), "b32") == RidgeSettings()
    elsewhere = {"kind": "ridge", "held_out": 0.3, "backbones": ["b16"]}
    settings = changed(STUDY, "heads", ridge=fixed, other=elsewhere)
    assert ridge_settings(settings, "b32") == RidgeSettings()
    assert ridge_settings(settings, "b16").held_out == 0.3


def test_of_several_draws_the_first_is_compared(project):
    (TARGETS / "dropped/demo-train").mkdir(parents=True)
    shutil.copytree(TARGETS / "knows/demo-train", TARGETS / "dropped/demo-train/draw-0")
    settings = changed(STUDY, "teachers", dropped={"model": "demo", "mode": "dropout", "draws": 3})
    rows = {row.teacher: row for row in compare(settings, ("b32",)).teachers}
    assert rows["dropped"].uar == rows["knows"].uar


def test_a_teacher_without_a_head_is_left_out_and_said(project):
    shutil.rmtree(TARGETS / "ignores/demo-train")
    noise = np.random.default_rng(5).normal(size=(400, 20)).astype("f2")
    write_cache(TARGETS / "ignores/demo-train", noise, 48, manifest="train", width=20)
    report = RecordingReporter()
    found = compare(backbones=("b32",), report=report)
    assert "ignores" not in {row.teacher for row in found.teachers}
    assert any("ignores all@1 with b32: no head tells held-out images apart; left out" in line for line in report.lines)


def test_a_backbone_without_any_head_is_left_out_unless_it_is_the_only_one(project):
    noise = np.random.default_rng(6).normal(size=(400, 24)).astype("f4")
    shutil.rmtree(image_features("b16", "demo-train"))
    write_cache(image_features("b16", "demo-train"), noise, 64, (7,), manifest="train", logit_scale=100.0)
    found = compare()
    assert {row.backbone for row in (*found.teachers, *found.test_sets)} == {"b32"}
    with pytest.raises(DataError, match=r"b16/demo-train: no teacher gives a head that tells held-out images apart"):
        compare(backbones=("b16",))


def test_targets_of_other_states_or_images_are_refused(project):
    vlm = STUDY.model_dump(exclude_unset=True)["teachers"]["vlm"]
    with pytest.raises(CacheError, match=r"vlm/demo-train: expected 2 states in a row, last@1, text@1, found 4"):
        compare(changed(STUDY, "teachers", vlm=vlm | {"keep_layers": []}))
    shutil.rmtree(TARGETS / "ignores/demo-train")
    write_cache(TARGETS / "ignores/demo-train", np.ones((400, 20), dtype="f2"), 48, manifest="other", width=20)
    with pytest.raises(CacheError, match="expected features of the same images"):
        compare()


def test_too_few_held_out_images_are_refused(project):
    settings = changed(STUDY, "heads", ridge={"kind": "ridge", "held_out": 0.001})
    with pytest.raises(SettingsError, match=r"held_out is 0\.001, which holds out 0 of 399 images"):
        compare(settings)
