"""Published results: complete, equal to the golden file, and found by name."""

import json
from pathlib import Path

import pytest

from expclip_cache.datasets.definition import builtin_definitions
from expclip_cache.reporting.published import RESULTS, backbone_of, published_results

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
