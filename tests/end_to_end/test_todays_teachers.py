"""A vision-language model as a teacher of several states and as a row of its own, beside a BLIP-2, under DVC."""

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest
from end_to_end.conftest import COMMIT, Checkout, code_checkout, stages_run
from ruamel.yaml import YAML

from expclip_cache.cache import FeatureCache
from expclip_cache.heads import RidgeSettings, fit_ridge
from expclip_cache.heads.head_file import read_head
from expclip_cache.scoring import uar
from tiny_encoders import write_blip2, write_clip
from tiny_vlms import SIZE, write_vlm

pytestmark = pytest.mark.slow

DRAWING = "pipeline/expclip_cache/demo/drawing"
VLM = {"kind": "vlm", "model": "models/qwen", "image_size": SIZE}
STUDY = {
    "run": {"device": "cpu", "batch_size": 16, "workers": 0},
    "backbones": {"clip": {"model": "models/clip"}},
    "teachers": {
        "t5": {"model": "models/t5", "instruction": "describe the face"},
        "qwen": {**VLM, "layer": 0.5, "keep_layers": [1.0], "keep_reads": ["text"]},
    },
    "answers": {
        "t5": {"model": "models/t5", "calibration_images": 30},
        "qwen": {**VLM, "names": {"happiness": ["happiness", "joy"]}, "calibration_images": 30},
    },
    "cache": {"shard_rows": 16},
    "prompts": {"reference": {"types": [2]}},
    "train": {"dataset": "train"},
    "heads": {
        "contrastive": {"kind": "contrastive", "lr": 0.1, "epochs": 2, "batch_size": 16, "seeds": [1, 2]},
        "ridge": {"kind": "ridge", "batch_size": 10},
    },
    "statistics": {"resamples": 200},
    "score": {"datasets": ["clean", "clips"]},
    "datasets": {
        "train": {"source": DRAWING, "draw": {"count": 80, "seed": 1, "labelled": False}, "labelled": False},
        "clean": {"source": DRAWING, "draw": {"count": 28, "seed": 2}},
        "clips": {"source": DRAWING, "draw": {"count": 7, "seed": 4, "kind": "clips"}, "frames": 2},
    },
}
STATES = ["last@0.5", "last@1", "text@0.5", "text@1"]
RULES = ["raw", "length-normalised", "calibrated"]


@pytest.fixture(scope="module")
def study(tmp_path_factory, prepared) -> Checkout:
    """The finished study."""
    folder = tmp_path_factory.mktemp("study") / "checkout"
    checkout = code_checkout(folder, prepared.folder)
    write_clip(folder / "models/clip")
    write_blip2(folder / "models/t5")
    write_vlm(folder / "models/qwen", "qwen2.5-vl")
    write_params(folder, STUDY)
    checkout.run("git", "init", "-q")
    checkout.run("git", "add", "-A")
    checkout.run(*COMMIT, "study")
    checkout.repro()
    return checkout


def write_params(folder: Path, study: dict) -> None:
    with (folder / "params.yaml").open("w") as file:
        YAML(typ="safe").dump(study, file)


def table(study: Checkout, name: str) -> list[dict[str, str]]:
    return list(csv.DictReader((study.folder / name).read_text().splitlines()))


def test_targets_keep_every_state_and_heads_learn_from_one(study):
    targets = FeatureCache(study.folder / "features/targets/qwen/train")
    assert targets.identity.settings["states"] == STATES
    assert targets.width == 4 * targets.layout.width
    images = FeatureCache(study.folder / "features/images/clip/train")
    expected = fit_ridge(images, FeatureCache(targets.store, vector=0), RidgeSettings(batch_size=10))
    head = read_head(study.folder / "heads/clip/qwen/ridge/closed-form.safetensors")
    assert (head == expected.weights).all()


def test_every_rule_has_a_row_beside_clip_and_the_heads(study):
    rows = table(study, "results/scores.csv")
    for test_set in ("clean", "clips"):
        found = [(row["backbone"], row["teacher"], row["head"]) for row in rows if row["test_set"] == test_set]
        assert [one for one in found if not one[0]] == [("", name, rule) for name in ("qwen", "t5") for rule in RULES]
        assert ("clip", "", "") in found
        assert ("clip", "qwen", "ridge") in found
    page = (study.folder / "report/index.html").read_text(encoding="utf-8")
    assert "Answers, calibrated" in page
    for name in ("report/systems.csv", "report/uar.csv", "report/metrics.json", "results/statistics/differences.csv"):
        assert "calibrated" in (study.folder / name).read_text()


def test_the_scores_of_answers_are_those_of_plain_numpy(study):
    answers = FeatureCache(study.folder / "features/answers/qwen/clean")
    assert answers.dtype == np.float32
    assert answers.layout[:3] == (1, 2, 8)
    (calibration,) = (study.folder / "features/answers/qwen").glob("calibration-*")
    faces = FeatureCache(calibration)
    assert len(faces) == 30

    def raw(cache: FeatureCache) -> np.ndarray:
        """(n, 7): happiness has two names, the first and the second of eight."""
        found = cache[:][:, :8].astype(np.float64)
        places = [name for one, called in cache.identity.settings["names"] for name in [one] * len(called)]
        return np.stack(
            [np.logaddexp.reduce(found[:, [p == one for p in places]], axis=1) for one in answers.classes], axis=1
        )

    calibrated = raw(answers) - raw(faces).mean(axis=0)
    for rule, scores in (("raw", raw(answers)), ("calibrated", calibrated)):
        confusion = np.zeros((7, 7), dtype=np.int64)
        np.add.at(confusion, (answers.labels, scores.argmax(axis=1)), 1)
        (row,) = [
            row
            for row in table(study, "results/scores.csv")
            if (row["test_set"], row["teacher"], row["head"]) == ("clean", "qwen", rule)
        ]
        assert float(row["uar"]) == pytest.approx(uar(confusion), abs=1e-3)


def test_another_kept_state_is_chosen_without_a_pass_of_the_model(study, tmp_path):
    shutil.copytree(study.folder, tmp_path / "grown", symlinks=True)
    grown = Checkout(tmp_path / "grown", study.programs)
    teachers = {**STUDY["teachers"], "qwen": {**STUDY["teachers"]["qwen"], "layer": 1.0, "keep_layers": [0.5]}}
    write_params(grown.folder, {**STUDY, "teachers": teachers})
    targets = sorted((grown.folder / "features/targets").rglob("shard-*.h5"))
    before = [file.stat().st_ino for file in targets]
    assert {"targets", "heads", "scores"} <= stages_run(grown.repro())
    assert [file.stat().st_ino for file in targets] == before

    def same(teacher: str) -> bool:
        file = f"heads/clip/{teacher}/ridge/closed-form.safetensors"
        return (grown.folder / file).read_bytes() == (study.folder / file).read_bytes()

    assert same("t5")
    assert not same("qwen")


def test_teachers_are_compared_with_all_their_states(study):
    shown = study.run("expclip-cache", "teachers").stdout
    rows = table(study, "teachers/teachers.csv")
    found = [(row["teacher"], f"{row['read']}@{float(row['layer']):g}") for row in rows]
    assert sorted(found) == sorted([("t5", "all@1"), *(("qwen", state) for state in STATES)])
    assert "qwen" in shown
    study.run("expclip-cache", "report")
    assert "qwen last@0.5: " in (study.folder / "report/index.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("command", [["table"], ["map", "clean"], ["probe", "--shots", "1", "--draws", "1"]])
def test_other_commands_take_such_a_study(study, command):
    study.run("expclip-cache", *command)


@pytest.mark.parametrize(
    ("change", "stage", "message"),
    [
        ({"names": {"hapiness": ["joy"]}}, "answers", "answers.qwen.names: expected classes of the test sets"),
        ({"question": "What do you see? {options}"}, "scores", "was made with another question than params.yaml has"),
    ],
)
def test_what_does_not_fit_is_refused(study, tmp_path, change, stage, message):
    shutil.copytree(study.folder, tmp_path / "grown", symlinks=True)
    grown = Checkout(tmp_path / "grown", study.programs)
    answers = {**STUDY["answers"], "qwen": {**STUDY["answers"]["qwen"], **change}}
    write_params(grown.folder, {**STUDY, "answers": answers})
    refused = grown.run("python", f"stages/{stage}.py", ok=False)
    assert refused.returncode == 1
    assert message in " ".join((refused.stdout + refused.stderr).split())
