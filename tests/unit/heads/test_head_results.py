"""What the fits of a study found, as metrics.json, loss.csv and details.json."""

import csv
import json
from pathlib import Path

import pytest

from expclip_cache.heads.results import write_head_results
from expclip_cache.heads.study import StudyHead
from tiny_study import HEADS, KEYS, fit, write_images, write_targets


def contrastive(seed, losses, rows=100, name="sgd"):
    return StudyHead(name, seed, Path("x"), {"rows": rows, "losses": losses}, fitted=False)


RIDGE = {"rows": 90, "held_out": 10, "lambda": 0.1, "held_out_loss": 1.25, "chance": 2.3}


def test_the_files_by_hand(tmp_path):
    fitted = {
        ("b32", "t5"): [
            contrastive(2, [3.0, 1.0]),
            contrastive(1, [4.0, 2.0000004]),
            StudyHead("ridge", None, Path("x"), RIDGE, fitted=True),
        ],
        ("b32", "opt"): [contrastive(1, [0.5], rows=80)],
        ("b16", "t5"): [StudyHead("ridge", None, Path("x"), RIDGE | {"lambda": 0.3}, fitted=True)],
    }
    write_head_results(tmp_path / "results/heads", fitted, {"images": {"b32": {"rows": 100}}})
    folder = tmp_path / "results/heads"
    assert sorted(path.name for path in folder.iterdir()) == ["details.json", "loss.csv", "metrics.json"]
    assert json.loads((folder / "metrics.json").read_text()) == {
        "b32": {
            "t5": {"sgd": {"rows": 100, "final_loss": 1.5}, "ridge": RIDGE},
            "opt": {"sgd": {"rows": 80, "final_loss": 0.5}},
        },
        "b16": {"t5": {"ridge": RIDGE | {"lambda": 0.3}}},
    }
    assert (folder / "loss.csv").read_text() == (
        "backbone,teacher,head,seed,epoch,loss\n"
        "b32,t5,sgd,2,1,3.000000\n"
        "b32,t5,sgd,2,2,1.000000\n"
        "b32,t5,sgd,1,1,4.000000\n"
        "b32,t5,sgd,1,2,2.000000\n"
        "b32,opt,sgd,1,1,0.500000\n"
    )
    assert json.loads((folder / "details.json").read_text()) == {"images": {"b32": {"rows": 100}}}


def test_ridge_heads_alone_have_no_losses(tmp_path):
    write_head_results(tmp_path, {("b", "t"): [StudyHead("ridge", None, Path("x"), RIDGE, fitted=True)]}, {})
    assert (tmp_path / "loss.csv").read_text() == "backbone,teacher,head,seed,epoch,loss\n"


def test_kept_heads_give_the_same_files_as_fitted_ones(tmp_path):
    """Every head and epoch has its loss, that of the fit."""
    images, targets = write_images(tmp_path / "x"), write_targets(tmp_path / "y")
    written = []
    for name in ("first", "second"):
        heads = fit(images, targets, tmp_path / "heads")
        write_head_results(tmp_path / name, {("b", "t"): heads}, {})
        written.append({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()})
    assert written[0] == written[1]
    with (tmp_path / "first/loss.csv").open() as file:
        lines = list(csv.DictReader(file))
    epochs = {name: getattr(head, "epochs", 0) for name, head in HEADS.items()}
    assert [(line["head"], int(line["seed"]), int(line["epoch"])) for line in lines] == [
        (name, seed, epoch + 1) for name, seed in KEYS for epoch in range(epochs[name])
    ]
    losses = {(head.name, str(head.seed)): head.found["losses"] for head in heads if head.seed is not None}
    for line in lines:
        assert float(line["loss"]) == losses[line["head"], line["seed"]][int(line["epoch"]) - 1]
    metrics = json.loads((tmp_path / "first/metrics.json").read_text())["b"]["t"]
    assert list(metrics) == list(HEADS)
    mean = (losses["slow", "1"][-1] + losses["slow", "2"][-1]) / 2
    assert metrics["slow"] == {"rows": 117, "final_loss": pytest.approx(mean, abs=1e-6)}
    assert (metrics["ridge"]["rows"], metrics["ridge"]["held_out"], metrics["ridge-fixed"]["held_out"]) == (93, 24, 0)
