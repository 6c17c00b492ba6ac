"""Contrastive and ridge heads side by side, through the stages: train, score, report."""

import csv
import json

import numpy as np
import pytest
from ruamel.yaml import YAML

from expclip_cache.base.errors import SettingsError
from expclip_cache.base.progress import SilentReporter
from expclip_cache.heads.head_file import read_head
from expclip_cache.prompts.templates import prompt_table
from expclip_cache.settings.file import load_settings
from expclip_cache.settings.paths import MOMENTS, head_file, image_features, prompt_features, target_features
from stages import report, score, train
from tiny_caches import write_cache

CLASSES = ("happiness", "sadness", "anger")
PARAMS = {
    "run": {"device": "cpu"},
    "clip": {"name": "c", "model": "tiny"},
    "llm": {"name": "l", "model": "tiny", "instruction": "Describe."},
    "prompts": {"types": [2, 5]},
    "train": {"dataset": "faces", "epochs": 2, "batch_size": 20, "seeds": [1, 2]},
    "score": {"datasets": ["test"]},
    "datasets": {name: {"source": name, "layout": "image-folders"} for name in ("faces", "test")},
}


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with caches in which targets are a noisy linear map of the images, and classes have different means."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    means, to_target = 2 * random.normal(size=(3, 8)), random.normal(size=(8, 12))

    def faces(count):
        labels = np.arange(count) % 3
        return labels, means[labels] + random.normal(size=(count, 8))

    _, X = faces(300)
    Y = X @ to_target + random.normal(size=(300, 12))
    write_cache(image_features("c", "faces"), X.astype("f2"), 64, logit_scale=100.0)
    write_cache(target_features("l", "faces"), Y.astype("f2"), 64)
    labels, test = faces(90)
    write_cache(image_features("c", "test"), test.astype("f2"), 64, labels=labels, classes=CLASSES, logit_scale=100.0)
    prompts = prompt_table("reference", [2, 5], CLASSES)
    texts = np.stack([means[CLASSES.index(p.class_name)] + random.normal(size=8) for p in prompts])
    write_cache(prompt_features("c"), texts.astype("f2"), 64, paths=[p.text for p in prompts])
    return tmp_path


def write_params(place, **settings):
    with (place / "params.yaml").open("w") as file:
        YAML().dump({**PARAMS, "train": PARAMS["train"] | settings}, file)


def test_both_fits_appear_in_one_report(place):
    write_params(place, fit=["contrastive", "ridge"], ridge={"held_out": 0.2})
    train.main(SilentReporter())
    score.main("test")
    report.main()
    assert sorted(path.name for path in place.glob("heads/*")) == [
        "ridge.safetensors",
        "seed-1.safetensors",
        "seed-2.safetensors",
    ]
    assert read_head(head_file("ridge")).shape == read_head(head_file("seed-1")).shape == (12, 8)
    metrics = json.loads((place / "results/train/metrics.json").read_text())
    assert (metrics["rows"], metrics["steps"]) == (300, 30)
    assert (metrics["ridge"]["rows"], metrics["ridge"]["held_out"]) == (240, 60)
    assert metrics["ridge"]["held_out_loss"] < metrics["ridge"]["chance"] - 0.5
    tree = json.loads((place / "report/summary.json").read_text())["test"]
    assert list(tree) == ["prompt_type_2", "prompt_type_2-ridge", "prompt_type_5", "prompt_type_5-ridge"]
    assert [row["seeds"] for row in tree.values()] == [2, 1, 2, 1]
    assert tree["prompt_type_5-ridge"]["expclip_uar"] > 70
    with (place / "report/table.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["head"] for row in rows] == ["contrastive", "ridge", "contrastive", "ridge"]


def test_ridge_alone_reuses_the_moments_of_the_last_run(place):
    write_params(place, fit=["ridge"], ridge={"choose": "fixed", "fixed": 0.3})
    train.main(SilentReporter())
    first, moments = head_file("ridge").read_bytes(), MOMENTS / "moments.safetensors"
    stamp = moments.stat().st_mtime_ns
    train.main(SilentReporter())
    assert head_file("ridge").read_bytes() == first
    assert moments.stat().st_mtime_ns == stamp
    write_params(place, fit=["ridge"], ridge={"choose": "fixed", "fixed": 0.5})
    train.main(SilentReporter())
    assert head_file("ridge").read_bytes() != first
    assert moments.stat().st_mtime_ns == stamp
    assert (place / "results/train/loss.csv").read_text() == "seed,epoch,loss\n"
    score.main("test")
    tree = json.loads((place / "results/score/test/metrics.json").read_text())
    assert list(tree) == ["prompt_type_2-ridge", "prompt_type_5-ridge"]


def test_contrastive_is_the_default_and_sums_nothing(place):
    write_params(place)
    train.main(SilentReporter())
    assert sorted(path.name for path in place.glob("heads/*")) == ["seed-1.safetensors", "seed-2.safetensors"]
    assert not MOMENTS.exists()
    score.main("test")
    assert list(json.loads((place / "results/score/test/metrics.json").read_text())) == [
        "prompt_type_2",
        "prompt_type_5",
    ]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"fit": ["rigde"]}, r"train\.fit\.0: Input should be 'contrastive' or 'ridge', found 'rigde'"),
        ({"fit": []}, r"train\.fit: .*at least 1 item"),
        ({"ridge": {"lambda": 0.1}}, r"train\.ridge\.lambda: unknown key\. Did you mean 'lambdas'\?"),
        ({"ridge": {"fixed": 0}}, r"train\.ridge\.fixed: Input should be greater than 0"),
        ({"ridge": {"held_out": 1}}, r"train\.ridge\.held_out: Input should be less than 1"),
    ],
)
def test_invalid_settings_are_refused(place, settings, message):
    write_params(place, **settings)
    with pytest.raises(SettingsError, match=message):
        load_settings()
