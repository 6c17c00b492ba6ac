"""Contrastive and ridge heads side by side, through the stages: heads, scores, intervals, report."""

import csv
import json

import numpy as np
import pytest
from ruamel.yaml import YAML

from expclip_cache.base.errors import SettingsError
from expclip_cache.base.progress import SilentReporter
from expclip_cache.heads.head_file import read_head
from expclip_cache.prompts.templates import prompt_table
from expclip_cache.scoring.score_file import read_score_file
from expclip_cache.settings.file import load_settings
from expclip_cache.settings.paths import MOMENTS, image_features, prompt_features, score_file, target_draws
from stages import heads, intervals, report, scores
from tiny_caches import write_cache

CLASSES = ("happiness", "sadness", "anger")
CONTRASTIVE = {"kind": "contrastive", "epochs": 2, "batch_size": 20, "seeds": [1, 2]}
RIDGE = {"kind": "ridge", "held_out": 0.2, "batch_size": 20}
PARAMS = {
    "run": {"device": "cpu"},
    "backbones": {"c": {"model": "tiny"}},
    "teachers": {"l": {"model": "tiny", "instruction": "Describe."}},
    "prompts": {"reference": {"types": [2, 5]}},
    "train": {"dataset": "faces"},
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
    write_params(tmp_path, both=RIDGE)
    (targets,) = target_draws("l", load_settings().teachers["l"], "faces")
    write_cache(targets, Y.astype("f2"), 64)
    labels, test = faces(90)
    write_cache(image_features("c", "test"), test.astype("f2"), 64, labels=labels, classes=CLASSES, logit_scale=100.0)
    prompts = prompt_table("reference", [2, 5], CLASSES)
    texts = np.stack([means[CLASSES.index(p.class_name)] + random.normal(size=8) for p in prompts])
    write_cache(prompt_features("c"), texts.astype("f2"), 64, paths=[p.text for p in prompts], logit_scale=100.0)
    return tmp_path


def write_params(place, **heads):
    with (place / "params.yaml").open("w") as file:
        YAML().dump({**PARAMS, "heads": heads}, file)


def head_files(place):
    return sorted(str(path.relative_to(place / "heads/c/l")) for path in place.glob("heads/c/l/*/*"))


def score_rows(place):
    with (place / "results/scores.csv").open() as file:
        return list(csv.DictReader(file))


def test_both_fits_appear_in_one_report(place):
    write_params(place, sgd=CONTRASTIVE, ridge=RIDGE)
    heads.main(SilentReporter())
    scores.main(SilentReporter())
    intervals.main(SilentReporter())
    report.main()
    assert head_files(place) == [
        "ridge/closed-form.safetensors",
        "sgd/seed-1.safetensors",
        "sgd/seed-2.safetensors",
    ]
    assert {read_head(path).shape for path in place.glob("heads/*/*/*/*")} == {(12, 8)}
    metrics = json.loads((place / "results/heads/metrics.json").read_text())["c"]["l"]
    assert (metrics["sgd"]["rows"], metrics["sgd"]["final_loss"] < np.log(20)) == (300, True)
    assert len((place / "results/heads/loss.csv").read_text().splitlines()) == 1 + 2 * 2
    assert (metrics["ridge"]["rows"], metrics["ridge"]["held_out"]) == (240, 60)
    assert metrics["ridge"]["held_out_loss"] < metrics["ridge"]["chance"] - 0.5
    rows = score_rows(place)
    assert [(row["prompt_type"], row["head"], row["seed"]) for row in rows] == [
        (kind, *head) for kind in "25" for head in [("", ""), ("sgd", "1"), ("sgd", "2"), ("ridge", "")]
    ]
    assert float(rows[-1]["uar"]) > 70
    with (place / "report/systems.csv").open() as file:
        systems = [line["head"] for line in csv.DictReader(file)]
    assert [head for head in systems if head] == ["sgd", "ridge"] * (len([head for head in systems if head]) // 2)
    assert {"sgd", "ridge"} <= set(systems)


def test_ridge_alone_reuses_the_moments_of_the_last_run(place):
    write_params(place, ridge={"kind": "ridge", "choose": "fixed", "fixed": 0.3})
    heads.main(SilentReporter())
    head = place / "heads/c/l/ridge/closed-form.safetensors"
    first, (moments,) = head.read_bytes(), (place / MOMENTS).glob("*/moments.safetensors")
    stamps = moments.stat().st_mtime_ns, head.stat().st_mtime_ns
    heads.main(SilentReporter())
    assert head.read_bytes() == first
    assert (moments.stat().st_mtime_ns, head.stat().st_mtime_ns) == stamps
    write_params(place, ridge={"kind": "ridge", "choose": "fixed", "fixed": 0.5})
    heads.main(SilentReporter())
    assert head.read_bytes() != first
    assert moments.stat().st_mtime_ns == stamps[0]
    assert list((place / MOMENTS).glob("*/moments.safetensors")) == [moments]
    assert (place / "results/heads/loss.csv").read_text() == "backbone,teacher,head,seed,epoch,loss\n"
    scores.main(SilentReporter())
    assert [(row["prompt_type"], row["head"]) for row in score_rows(place)] == [
        ("2", ""),
        ("2", "ridge"),
        ("5", ""),
        ("5", "ridge"),
    ]


def test_contrastive_is_the_default_of_the_reference_and_sums_nothing(place):
    write_params(place, sgd=CONTRASTIVE)
    heads.main(SilentReporter())
    assert head_files(place) == ["sgd/seed-1.safetensors", "sgd/seed-2.safetensors"]
    assert not MOMENTS.exists()
    scores.main(SilentReporter())
    assert {(row["prompt_type"], row["head"]) for row in score_rows(place)} == {
        (kind, head) for kind in "25" for head in ("", "sgd")
    }


def test_a_head_that_is_no_longer_in_the_study_goes_with_its_scores(place):
    write_params(place, sgd=CONTRASTIVE, ridge=RIDGE)
    heads.main(SilentReporter())
    kept = (place / "heads/c/l/sgd/seed-2.safetensors").stat().st_mtime_ns
    write_params(place, sgd=CONTRASTIVE | {"seeds": [2]})
    (place / "results/scores/old").mkdir(parents=True)
    (place / "results/scores/old/test.json").write_text("{}")
    heads.main(SilentReporter())
    scores.main(SilentReporter())
    assert head_files(place) == ["sgd/seed-2.safetensors"]
    assert (place / "heads/c/l/sgd/seed-2.safetensors").stat().st_mtime_ns == kept
    assert [path.name for path in (place / "results/scores").rglob("*")] == ["c", "test.json"]
    (found,) = read_score_file(score_file("c", "test")).prompt_sets.values()
    assert [(head.head, head.seed) for head in found.heads] == [("sgd", 2)]


@pytest.mark.parametrize(
    ("head", "message"),
    [
        ({"kind": "rigde"}, r"heads\.one\.kind: expected contrastive or ridge, found 'rigde'"),
        ({}, r"heads\.one\.kind: expected contrastive or ridge, but the key is missing"),
        (None, r"heads: .*at least 1 item"),
        ({"kind": "ridge", "lambda": 0.1}, r"heads\.one\.lambda: unknown key\. Did you mean 'lambdas'\?"),
        ({"kind": "ridge", "fixed": 0}, r"heads\.one\.fixed: Input should be greater than 0"),
        ({"kind": "ridge", "held_out": 1}, r"heads\.one\.held_out: Input should be less than 1"),
    ],
)
def test_invalid_settings_are_refused(place, head, message):
    write_params(place, **({} if head is None else {"one": head}))
    with pytest.raises(SettingsError, match=message):
        load_settings()
