"""The csv files and the headline numbers that DVC compares."""

import csv
import io
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from expclip_cache.reporting.score_files import confusion_csvs, headline_csv, headline_metrics, systems_csv
from expclip_cache.scoring.results import HeadScores, PromptSetScores, TestSetScores
from expclip_cache.statistics.systems import SystemScores
from score_rows import made_up_statistics, scores_of, study_rows


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
        uar_low=uar - 1.0,
        uar_high=uar + 1.0,
        war=float(uar),
        war_std=float(std),
        war_low=uar - 1.0,
        war_high=uar + 1.0,
        clip_uar=float(clip),
        clip_war=float(clip),
        gain=float(uar - clip),
        gain_low=uar - clip - 2.0 if head else None,
        gain_high=uar - clip + 2.0 if head else None,
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
    rows = study_rows(teachers=("t", "u"), types=(2, 5))
    scores, statistics = scores_of(rows), made_up_statistics(rows)
    found = headline_metrics(scores, statistics)
    assert {teacher: list(heads) for teacher, heads in found["demo-clip"].items()} == {
        "t": ["contrastive", "ridge"],
        "u": ["contrastive", "ridge"],
    }
    for teacher, heads in found["demo-clip"].items():
        for head, sets in heads.items():
            (own,) = sets.values()
            mine = [row for row in scores if (row.teacher, row.head, row.prompt_type) == (teacher, head, 5)]
            assert own["uar"] == round(np.mean([row.uar for row in mine]), 2)
            assert own["gain"] == round(np.mean([row.gain for row in mine]), 2)
            assert (own["gain_low"], own["gain_high"]) == pytest.approx((own["gain"] - 2, own["gain"] + 2), abs=0.006)
            assert own["test_sets"] == {row.test_set: round(row.uar, 2) for row in mine}
            assert ("std" in own) == (head == "contrastive")


def test_with_one_test_set_the_metrics_are_its_own():
    rows = study_rows(heads=("ridge",), test_sets=("a",), types=(5,))
    scores = scores_of(rows)
    (own,) = headline_metrics(scores, made_up_statistics(rows))["demo-clip"]["demo-llm"]["ridge"].values()
    gain = scores[1].gain
    assert own == {
        "uar": round(scores[1].uar, 2),
        "gain": round(gain, 2),
        "gain_low": round(gain - 2, 2),
        "gain_high": round(gain + 2, 2),
        "test_sets": {"a": round(scores[1].uar, 2)},
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
    scores = scores_of(study_rows(backbones=("b32", "b16"), teachers=("t", "u"), prompts=("reference", "clean")))
    lines = list(csv.DictReader(io.StringIO(headline_csv(scores))))
    assert len({(line["test_set"], line["system"]) for line in lines}) == len(lines) == 3 * 2 * 2 * 5


def test_the_csv_has_every_number():
    scores = scores_of(study_rows(backbones=("b32", "b16"), seeds=2))
    lines = list(csv.DictReader(io.StringIO(systems_csv(scores))))
    assert len(lines) == len(scores)
    for line, row in zip(lines, scores, strict=True):
        for name in ("test_set", "backbone", "teacher", "head", "prompts", "prompt_type", "items", "skipped", "seeds"):
            assert line[name] == str(getattr(row, name))
        for name in ("uar", "uar_std", "uar_low", "uar_high", "war", "war_std", "clip_uar", "clip_war", "gain"):
            assert float(line[name]) == pytest.approx(getattr(row, name), abs=5e-4)
        for name in ("gain_low", "gain_high"):
            assert (line[name] == "") == (row.head == "")
            assert line[name] == "" or float(line[name]) == pytest.approx(getattr(row, name), abs=5e-4)


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
