"""Published results: complete, equal to the golden file, and found by name."""

import json
from pathlib import Path

import numpy as np
import pytest

from expclip_cache.datasets.definition import builtin_definitions, load_definition
from expclip_cache.reporting.published import RESULTS, backbone_of, published_results
from expclip_cache.reporting.published_intervals import log_intervals, published_correct
from expclip_cache.statistics.settings import StatisticsSettings

GOLDEN = json.loads((Path(__file__).parents[2] / "data" / "golden_confusions.json").read_text())["published"]


def test_the_b32_and_b16_logs_equal_the_golden_file():
    golden = {
        (backbone, dataset, int(kind)): tuple(pair)
        for backbone, datasets in GOLDEN.items()
        for dataset, kinds in datasets.items()
        for kind, pair in kinds.items()
    }
    ours = {
        (r.backbone, r.dataset, r.prompt_type): (r.uar, r.war)
        for r in RESULTS
        if r.source == "log" and r.backbone != "L/14"
    }
    assert ours == golden
    assert len(ours) == 80


def test_the_table_is_complete():
    assert len(RESULTS) == 8 * (3 + 3 + 5 + 5 + 5 + 1)
    assert len({(r.method, r.backbone, r.source, r.prompt_type, r.dataset) for r in RESULTS}) == len(RESULTS)
    assert {r.dataset for r in RESULTS} <= set(builtin_definitions())
    assert all(0 < r.uar < 100 and (r.war is None) == (r.source == "figure") for r in RESULTS)


@pytest.mark.parametrize(
    ("backbone", "dataset", "kind", "expected"),
    [
        ("B/32", "raf-db", 2, [("CLIP", 34.97, 30.05), ("Exp-CLIP", 39.56, 42.14), ("Exp-CLIP", 42.00, 51.27)]),
        ("B/16", "MAFW", 5, [("CLIP", 15.45, 17.25), ("Exp-CLIP", 19.17, 23.35), ("Exp-CLIP", 22.01, 28.21)]),
        ("L/14", "dfew", 3, [("CLIP", 32.02, 38.12), ("Exp-CLIP", 40.16, 47.09), ("Exp-CLIP", 40.73, 47.09)]),
        ("L/14", "AffectNet 8", 5, [("CLIP", 29.96, 29.96), ("Exp-CLIP", 38.44, 38.43), ("Exp-CLIP", 38.31, 38.31)]),
    ],
)
def test_lookup_gives_the_values_of_the_printed_tables(backbone, dataset, kind, expected):
    found = published_results(backbone, dataset, kind)
    assert [(r.method, r.uar, r.war) for r in found if r.source != "figure"] == expected
    assert [r.source for r in found[:3]] == ["paper", "paper", "log"]


def test_later_work_is_known_for_b32_only():
    assert [(r.uar, r.war) for r in published_results("B/32", "RAF-DB", 1) if r.method == "EmoCapCLIP"] == [
        (62.9, None)
    ]
    assert all(r.method != "EmoCapCLIP" for r in published_results("B/16", "RAF-DB", 1))


@pytest.mark.parametrize("kind", [0, 1, 2, 3, 4, 5])
def test_only_the_log_of_the_prompt_type_is_found(kind):
    types = [r.prompt_type for r in published_results("L/14", "afew", kind) if r.source == "log"]
    assert types == ([kind] if kind else [])


def test_nothing_is_published_for_the_demo():
    assert published_results("B/32", "demo-clean", 2) == ()


@pytest.mark.parametrize(
    ("model", "backbone"),
    [
        ("ViT-B-32-quickgelu", "B/32"),
        ("ViT-B-16", "B/16"),
        ("ViT-L-14-quickgelu", "L/14"),
        ("ViT-L-14-336-quickgelu", None),
        ("ViT-B-32-SigLIP", None),
        ("demo", None),
    ],
)
def test_the_backbone_of_a_model_name(model, backbone):
    assert backbone_of(model) == backbone


def test_every_published_log_lies_in_its_own_interval_and_follows_from_the_correct_items():
    """All 120 cells, those of L/14 included, which the golden file does not have."""
    logs = [result for result in RESULTS if result.source == "log"]
    assert len(logs) == 120
    settings = StatisticsSettings(resamples=400)
    for log in logs:
        folds = published_correct()[log.backbone, log.dataset, log.prompt_type]
        definition = load_definition(builtin_definitions()[log.dataset])
        uars, wars = [], []
        for fold, correct in folds.items():
            items = np.array(definition.published_counts(fold))
            uars.append(100 * np.mean(np.array(correct) / items))
            wars.append(100 * sum(correct) / items.sum())
        assert np.mean(uars) == pytest.approx(log.uar, abs=0.0055)
        assert np.mean(wars) == pytest.approx(log.war, abs=0.0055)
        found = log_intervals(log.backbone, log.dataset, log.prompt_type, settings)
        assert found.uar.covers(log.uar)
        assert found.war.covers(log.war)
        assert 1 < found.uar.high - found.uar.low < 10


def test_the_correct_items_are_the_diagonals_of_the_golden_matrices():
    golden = json.loads((Path(__file__).parents[2] / "data" / "golden_confusions.json").read_text())["matrices"]
    compared = 0
    for backbone, datasets in golden.items():
        for dataset, kinds in datasets.items():
            for kind, folds in kinds.items():
                own = published_correct()[backbone, dataset, int(kind)]
                for correct, flat in zip(own.values(), folds, strict=True):
                    c = round(len(flat) ** 0.5)
                    assert list(correct) == flat[:: c + 1]
                    compared += 1
    assert compared == 160


def test_nothing_published_has_no_interval():
    assert log_intervals("B/32", "fer2013", 2, StatisticsSettings()) is None
    assert log_intervals("B/32", "raf-db", 0, StatisticsSettings()) is None
