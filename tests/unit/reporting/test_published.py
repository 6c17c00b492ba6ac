import json
from pathlib import Path

import pytest

from expclip_cache.base.errors import DataError
from expclip_cache.datasets.definition import builtin_definitions
from expclip_cache.reporting.published import RESULTS, backbone_of, item_counts, published_results

GOLDEN = json.loads((Path(__file__).parents[2] / "data" / "golden_confusions.json").read_text())["published"]


def test_the_logs_of_b32_and_b16_are_those_of_the_golden_file():
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
def test_lookup_against_the_tables_as_printed(backbone, dataset, kind, expected):
    found = published_results(backbone, dataset, kind)
    assert [(r.method, r.uar, r.war) for r in found if r.source != "figure"] == expected
    assert [r.source for r in found[:3]] == ["paper", "paper", "log"]


def test_later_work_is_reported_for_b32_alone():
    assert [(r.uar, r.war) for r in published_results("B/32", "RAF-DB", 1) if r.method == "EmoCapCLIP"] == [
        (62.9, None)
    ]
    assert all(r.method != "EmoCapCLIP" for r in published_results("B/16", "RAF-DB"))


def test_without_a_type_all_types_are_there():
    types = [r.prompt_type for r in published_results("L/14", "afew") if r.source == "log"]
    assert types == [1, 2, 3, 4, 5]


def test_nobody_reports_on_the_demo():
    assert published_results("B/32", "demo-clean") == ()


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
def test_backbones(model, backbone):
    assert backbone_of(model) == backbone


def test_item_counts():
    assert item_counts("RAF-DB") == (1185, 478, 680, 162, 329, 160, 74)
    assert sum(item_counts("ferv39k")) == 7847
    assert [sum(item_counts("mafw", fold)) for fold in range(1, 6)] == [1839, 1837, 1833, 1832, 1831]
    assert [sum(item_counts("DFEW", fold)) for fold in range(1, 6)] == [2341, 2341, 2340, 2339, 2336]
    for dataset, fold in [("dfew", None), ("fer2013", None), ("demo-clean", None), ("dfew", 6)]:
        with pytest.raises(DataError, match=f"known for {dataset}, fold {fold}"):
            item_counts(dataset, fold)
