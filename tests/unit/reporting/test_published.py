"""Published results: complete, equal to the golden file, and found by name."""

import json
from pathlib import Path

import numpy as np
import pytest

from expclip_cache.base.errors import SettingsError
from expclip_cache.datasets.definition import builtin_definitions, load_definition
from expclip_cache.encoders.settings import ClipSettings
from expclip_cache.reporting.published import RESULTS, published_results, published_system
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
    assert len(RESULTS) == 8 * (3 + 3 + 5 + 5 + 5 + 1) + sum(map(len, TABLE_1.values()))
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
    found = published_results(f"CLIP {backbone}", dataset, kind)
    assert [(r.method, r.uar, r.war) for r in found if r.source != "figure"] == expected
    assert [r.source for r in found[:3]] == ["paper", "paper", "log"]


def test_later_work_is_known_for_b32_only():
    assert [(r.uar, r.war) for r in published_results("CLIP B/32", "RAF-DB", 1) if r.method == "EmoCapCLIP"] == [
        (62.9, None)
    ]
    assert all(r.method != "EmoCapCLIP" for r in published_results("CLIP B/16", "RAF-DB", 1))


@pytest.mark.parametrize("kind", [0, 1, 2, 3, 4, 5])
def test_only_the_log_of_the_prompt_type_is_found(kind):
    types = [r.prompt_type for r in published_results("CLIP L/14", "afew", kind) if r.source == "log"]
    assert types == ([kind] if kind else [])


def test_nothing_is_published_for_the_demo():
    assert published_results("CLIP B/32", "demo-clean", 2) == ()


@pytest.mark.parametrize(
    ("settings", "system"),
    [
        ({"model": "ViT-B-32-quickgelu", "weights": "openai"}, "CLIP B/32"),
        ({"model": "ViT-B-16", "weights": "openai"}, "CLIP B/16"),
        ({"model": "ViT-L-14-quickgelu", "weights": "openai"}, "CLIP L/14"),
        ({"model": "ViT-L-14-336-quickgelu", "weights": "openai"}, None),
        ({"model": "ViT-B-32-SigLIP", "weights": "openai"}, None),
        ({"model": "ViT-B-32", "weights": "laion2b_s34b_b79k"}, None),
        ({"model": "ViT-B-16-quickgelu", "weights": "farl.pth"}, None),
        ({"model": "ViT-B-16-quickgelu", "weights": "farl.pth", "published_as": "FaRL"}, "FaRL"),
        ({"model": "ViT-B-32-quickgelu", "weights": "b32.safetensors", "published_as": "CLIP B/32"}, "CLIP B/32"),
        ({"kind": "emoclip", "model": "ViT-B-32", "weights": "openai"}, None),
        ({"model": "demo"}, None),
    ],
)
def test_which_published_system_a_backbone_is(settings, system):
    assert published_system(ClipSettings(**settings)) == system


def test_an_unknown_system_is_refused_and_the_known_ones_are_named():
    with pytest.raises(SettingsError, match=r"CLIP B/32, .*FaRL, .*EmoCapCLIP\), found 'Farl'"):
        published_system(ClipSettings(published_as="Farl"))


# UAR/WAR of the paper's Table 1, typed a column at a time from the picture of its tables in the reference's repository.
TABLE_1 = {
    "raf-db": {"BLIP2": (43.78, 44.07), "FaRL": (24.98, 38.53), "FLAVA": (14.35, 38.69)},
    "affectnet-7": {"BLIP2": (32.86, 32.87), "FaRL": (26.95, 26.95), "FLAVA": (14.26, 14.26)},
    "affectnet-8": {"BLIP2": (28.53, 28.53), "FaRL": (23.50, 23.51), "FLAVA": (12.47, 12.48)},
    "ferplus": {"BLIP2": (43.40, 48.14), "FaRL": (24.27, 35.26), "FLAVA": (12.50, 28.43)},
    "dfew": {
        **{"FaRL": (23.99, 25.73), "FLAVA": (14.29, 20.91), "VideoCLIP": (18.15, 17.52)},
        **{"X-CLIP": (20.03, 16.06), "EmotionCLIP": (13.77, 19.89), "EmoCLIP": (36.76, 46.27)},
    },
    "ferv39k": {
        **{"FaRL": (20.71, 22.87), "FLAVA": (14.28, 18.77), "VideoCLIP": (15.35, 15.57)},
        **{"X-CLIP": (16.80, 12.50), "EmotionCLIP": (14.79, 19.54), "EmoCLIP": (26.73, 35.30)},
    },
    "mafw": {
        **{"FaRL": (14.98, 17.08), "FLAVA": (9.31, 3.26), "VideoCLIP": (10.26, 11.70)},
        **{"X-CLIP": (11.51, 13.53), "EmotionCLIP": (9.20, 11.65), "EmoCLIP": (25.86, 33.49)},
    },
    "afew": {
        **{"FaRL": (28.17, 30.45), "FLAVA": (14.29, 16.27), "VideoCLIP": (16.32, 17.32)},
        **{"X-CLIP": (21.81, 22.05), "EmotionCLIP": (14.86, 17.06), "EmoCLIP": (36.13, 39.90)},
    },
}


def test_the_other_systems_have_the_figures_of_the_papers_table():
    found: dict[str, dict[str, tuple[float, float]]] = {}
    for result in RESULTS:
        if result.method not in ("CLIP", "Exp-CLIP", "EmoCapCLIP"):
            found.setdefault(result.dataset, {})[result.method] = (result.uar, result.war)
            assert (result.source, result.prompt_type) == ("paper", None)
    assert found == TABLE_1


def test_the_other_systems_are_not_among_the_results_of_a_clip_of_the_same_size():
    assert {r.method for r in published_results("CLIP B/16", "dfew", 2)} == {"CLIP", "Exp-CLIP"}
    assert [(r.method, r.backbone, r.uar) for r in published_results("FaRL", "DFEW", 2)] == [("FaRL", "B/16", 23.99)]
    assert published_results("BLIP2", "dfew", 2) == ()


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
