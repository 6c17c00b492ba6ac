"""The csv files and the headline numbers that DVC compares."""

import csv
import io
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from expclip_cache.reporting.score_files import confusion_csvs, headline_csv, headline_metrics, systems_csv
from expclip_cache.reporting.systems import SystemScores, system_scores
from expclip_cache.scoring.results import HeadScores, PromptSetScores, TestSetScores
from score_rows import study_rows


def row(test_set: str, kind: int, head: str, clip: float, uar: float, std: float) -> SystemScores:
    return SystemScores(
        test_set=test_set,
        backbone="b32",
        teacher="t" if head else "",
        head=head,
        prompts="reference",
        prompt_type=kind,
        items=100,
        skipped=0,
        seeds={"": 0, "ridge": 1}.get(head, 3),
        uar=float(uar),
        uar_std=float(std),
        war=float(uar),
        war_std=float(std),
        clip_uar=float(clip),
        clip_war=float(clip),
    )


ROWS = [
    row("a", 2, "", 10, 10, 0),
    row("a", 2, "contrastive", 10, 20, 1),
    row("a", 2, "ridge", 10, 30, 0),
    row("a", 5, "", 40, 40, 0),
    row("a", 5, "contrastive", 40, 50, 2),
    row("a", 5, "ridge", 40, 60, 0),
    row("b", 5, "", 20, 20, 0),
    row("b", 5, "contrastive", 20, 24, 1),
    row("b", 5, "ridge", 20, 30.126, 0),
]


def test_every_head_has_means_and_the_uar_of_each_set_under_the_highest_type():
    assert headline_metrics(ROWS) == {
        "b32": {
            "t": {
                "contrastive": {
                    "reference": {"uar": 37.0, "gain": 7.0, "std": 1.5, "test_sets": {"a": 50, "b": 24}},
                },
                "ridge": {
                    "reference": {"uar": 45.06, "gain": 15.06, "test_sets": {"a": 60, "b": 30.13}},
                },
            }
        }
    }


def test_bar_plot_csv():
    assert headline_csv(ROWS).splitlines() == [
        "test_set,system,uar",
        "a,plain CLIP,40.000",
        "a,contrastive,50.000",
        "a,ridge,60.000",
        "b,plain CLIP,20.000",
        "b,contrastive,24.000",
        "b,ridge,30.126",
    ]


def test_the_plot_tells_all_systems_apart():
    scores = system_scores(study_rows(backbones=("b32", "b16"), teachers=("t", "u"), prompts=("reference", "clean")))
    lines = list(csv.DictReader(io.StringIO(headline_csv(scores))))
    assert len({(line["test_set"], line["system"]) for line in lines}) == len(lines) == 3 * 2 * 2 * 5


def test_the_csv_has_every_number():
    scores = system_scores(study_rows(backbones=("b32", "b16"), seeds=2))
    lines = list(csv.DictReader(io.StringIO(systems_csv(scores))))
    assert len(lines) == len(scores)
    for line, row in zip(lines, scores, strict=True):
        for name in ("test_set", "backbone", "teacher", "head", "prompts", "prompt_type", "items", "skipped", "seeds"):
            assert line[name] == str(getattr(row, name))
        for name in ("uar", "uar_std", "war", "war_std", "clip_uar", "clip_war", "gain"):
            assert float(line[name]) == pytest.approx(getattr(row, name), abs=5e-4)


def scored(backbone: str, test_set: str, clip: np.ndarray, head: np.ndarray) -> TestSetScores:
    kinds = {2: np.eye(3, dtype=np.int64), 5: clip}
    heads = [HeadScores("t", "h", seed, "0", {2: kinds[2], 5: head if seed == 1 else clip}, None) for seed in (1, 2)]
    sets = {"reference": PromptSetScores({}, kinds, tuple(heads)), "own": PromptSetScores({}, {0: kinds[2]}, ())}
    return TestSetScores(backbone, test_set, ("anger", "fear", "joy"), {"skipped": []}, sets)


def test_confusion_plots_have_a_line_for_each_item():
    clip, head = np.arange(9).reshape(3, 3), 2 * np.eye(3, dtype=np.int64)
    tables = confusion_csvs(
        [scored("b32", "x", clip, head), scored("b32", "y", head, clip), scored("b16", "x", head, clip)]
    )
    assert list(tables) == ["x/clip.csv", "x/expclip.csv", "y/clip.csv", "y/expclip.csv"]
    lines = list(csv.DictReader(io.StringIO(tables["x/clip.csv"])))
    names = ("anger", "fear", "joy")
    assert Counter((line["actual"], line["predicted"]) for line in lines) == Counter(
        {(names[a], names[b]): 3 * a + b for a in range(3) for b in range(3) if a + b}
    )
    assert tables["x/expclip.csv"].splitlines()[1:] == ["anger,anger"] * 2 + ["fear,fear"] * 2 + ["joy,joy"] * 2
    assert tables["y/clip.csv"] == tables["x/expclip.csv"]


def test_a_backbone_without_heads_has_the_plot_of_plain_clip():
    found = scored("b32", "x", np.eye(3, dtype=np.int64), np.eye(3, dtype=np.int64))
    alone = replace(found.prompt_sets["reference"], heads=())
    assert list(confusion_csvs([replace(found, prompt_sets={"reference": alone})])) == ["x/clip.csv"]
