"""The published log values follow from the published confusion matrices through our scoring stage."""

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from expclip_cache.datasets.definition import builtin_definitions, load_definition
from expclip_cache.heads.head_file import write_head
from expclip_cache.prompts.templates import prompt_table
from expclip_cache.reporting.comparison import Pair, compare_with_published
from expclip_cache.reporting.comparison_table import comparison_csv, comparison_to_terminal
from expclip_cache.settings.file import load_settings
from expclip_cache.settings.paths import head_file, image_features, prompt_features, score_results
from expclip_cache.settings.settings import Settings
from labelled_caches import write_labelled, write_prompts
from stages import score

ROOT = Path(__file__).parents[3]
GOLDEN = json.loads((ROOT / "tests/data/golden_confusions.json").read_text())
PRESETS = {"B/32": "paper-b32", "B/16": "paper-b16"}
# Weight of the half of a feature that decides plain CLIP's prediction, relative to the half that the head keeps.
CLIP_WEIGHT = 10.0


def write_features(settings: Settings, matrices: dict[str, np.ndarray]) -> None:
    """Write features from which the head predicts exactly what each matrix counts, and plain CLIP the true class.

    Both halves of a feature are one-hot: the first, with the larger weight, is the true class, the second the class to
    predict. The head keeps only the second half.
    """
    c = 11
    for name, matrix in matrices.items():
        classes = load_definition(settings.datasets[name].source).classes
        truth, predicted = (np.repeat(index, matrix.ravel()) for index in np.indices(matrix.shape).reshape(2, -1))
        features = np.hstack([CLIP_WEIGHT * np.eye(c)[truth], np.eye(c)[predicted]])
        paths = [f"{row}.png" for row in range(len(truth))]
        write_labelled(image_features(settings.clip.name, name), features, truth, paths, classes)
    owner = {
        prompt.text: classes.index(prompt.class_name)
        for name in matrices
        for classes in [load_definition(settings.datasets[name].source).classes]
        for prompt in prompt_table(settings.prompts.set, settings.prompts.types, classes)
    }
    embeddings = np.eye(c)[list(owner.values())]
    texts = np.hstack([CLIP_WEIGHT * embeddings, embeddings])
    write_prompts(prompt_features(settings.clip.name), texts, list(owner))
    write_head(head_file("seed-1"), np.hstack([np.zeros((c, c)), np.eye(c)]), {})


def golden_matrices(backbone: str, kind: int) -> dict[str, np.ndarray]:
    """Key in the presets -> (c, c) int64."""
    matrices = {}
    for dataset, kinds in GOLDEN["matrices"][backbone].items():
        folds = kinds[str(kind)]
        for number, fold in enumerate(folds, start=1):
            c = round(len(fold) ** 0.5)
            matrices[f"{dataset}-{number}" if len(folds) > 1 else dataset] = np.reshape(fold, (c, c))
    return matrices


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """An empty folder as the current folder, to run stages in."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pipeline").symlink_to(ROOT / "pipeline")
    return tmp_path


def scored(workplace: Path, backbone: str, kind: int, matrices: dict[str, np.ndarray]):
    """The rows of a run of the preset on made-up features, restricted to one prompt type and some test sets."""
    text = (ROOT / "configs" / f"{PRESETS[backbone]}.yaml").read_text()
    (workplace / "params.yaml").write_text(text.replace("types: [1, 2, 3, 4, 5]", f"types: [{kind}]"))
    settings = load_settings()
    settings = settings.model_copy(update={"score": settings.score.model_copy(update={"datasets": tuple(matrices)})})
    write_features(settings, matrices)
    for name in matrices:
        score.main(name)
    found = {name: json.loads((score_results(name) / "confusion.json").read_text()) for name in matrices}
    return compared(settings, found)


def compared(settings, confusions):
    """`compare_with_published` with the test sets and heads of the settings."""
    test_sets = {name: settings.datasets[name] for name in settings.score.datasets}
    return compare_with_published(settings.clip.model, test_sets, settings.train.heads, confusions)


@pytest.mark.parametrize("kind", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("backbone", PRESETS)
def test_our_scoring_reproduces_the_published_logs(workplace, backbone, kind):
    matrices = golden_matrices(backbone, kind)
    preset = load_settings(ROOT / "configs" / f"{PRESETS[backbone]}.yaml")
    assert set(matrices) == set(preset.score.datasets)
    rows = scored(workplace, backbone, kind, matrices)
    published = {row.test_set: row for row in rows if row.is_published}
    assert set(published) == set(GOLDEN["published"][backbone])
    for dataset, row in published.items():
        uar, war = GOLDEN["published"][backbone][dataset][str(kind)]
        assert (row.log, row.backbone) == (Pair(uar, war), backbone)
        assert row.expclip.uar == pytest.approx(uar, abs=0.005), dataset
        assert row.expclip.war == pytest.approx(war, abs=0.005), dataset
        assert row.clip == Pair(100, 100)
        assert row.n == row.published_n
    assert {row.test_set for row in rows if row.part == "fold mean"} == {"dfew", "mafw"}
    folds = [row for row in rows if row.part == "fold"]
    assert len(folds) == 10
    assert all(row.n == row.published_n == matrices[row.test_set].sum() for row in folds)


def test_swapping_two_classes_does_not_give_the_published_scores(workplace):
    matrix = golden_matrices("B/32", 2)["raf-db"]
    swapped = matrix[:, [1, 0, 2, 3, 4, 5, 6]]
    (row,) = scored(workplace, "B/32", 2, {"raf-db": swapped})
    assert abs(row.expclip.uar - row.log.uar) > 1


def confusions(*matrices, classes=7):
    """Contents of confusion.json, one per matrix, with CLIP always right."""
    return [
        {
            "classes": classes,
            "clip": {"2": np.diag(np.sum(matrix, axis=1)).tolist()},
            "expclip": {"2": {"seed-1": np.asarray(matrix).tolist()}},
        }
        for matrix in matrices
    ]


def preset_with(test_sets: list[str], **datasets) -> Settings:
    tree = load_settings(ROOT / "configs/paper-b32.yaml").model_dump()
    tree["datasets"] |= datasets
    return Settings.model_validate(tree | {"score": {"datasets": test_sets}})


@pytest.fixture
def at_root(monkeypatch):
    monkeypatch.chdir(ROOT)


@pytest.mark.usefixtures("at_root")
def test_folds_are_averaged_and_pooled():
    rng = np.random.default_rng(0)
    folds = [rng.integers(1, 50 * n, (7, 7)) for n in (1, 2, 3, 4, 5)]
    names = [f"dfew-{n}" for n in (2, 1, 3, 4, 5)]
    rows = compared(preset_with(names), dict(zip(names, confusions(*folds), strict=True)))
    assert [(row.test_set, row.part) for row in rows] == [(name, "fold") for name in names] + [
        ("dfew", "fold mean"),
        ("dfew", "pooled"),
    ]
    uars = [100 * np.mean(np.diag(fold) / fold.sum(axis=1)) for fold in folds]
    wars = [100 * np.trace(fold) / fold.sum() for fold in folds]
    total = np.sum(folds, axis=0)
    assert [row.expclip.uar for row in rows[:5]] == pytest.approx(uars)
    assert rows[5].expclip == Pair(pytest.approx(np.mean(uars)), pytest.approx(np.mean(wars)))
    assert rows[6].expclip.war == pytest.approx(100 * np.trace(total) / total.sum())
    assert [row.published_n for row in rows] == [2341, 2341, 2340, 2339, 2336, 11697, 11697]
    assert [row.is_published for row in rows] == [False] * 5 + [True, False]


@pytest.mark.usefixtures("at_root")
def test_four_of_five_folds_have_no_mean_to_compare():
    names = [f"mafw-{n}" for n in (1, 2, 3, 4)]
    rows = compared(preset_with(names), dict(zip(names, confusions(*[np.eye(11, dtype=int)] * 4), strict=True)))
    assert [row.part for row in rows] == ["fold"] * 4


@pytest.mark.usefixtures("at_root")
def test_heads_of_one_kind_are_averaged_and_kinds_kept_separate():
    right, wrong = np.diag([2] * 7), np.roll(np.diag([2] * 7), 1, axis=1)
    found = confusions(right)[0] | {
        "expclip": {"2": {"seed-1": right.tolist(), "seed-2": wrong.tolist(), "ridge": wrong.tolist()}}
    }
    tree = preset_with(["raf-db"]).model_dump()
    tree["train"] |= {"seeds": [1, 2], "fit": ["contrastive", "ridge"]}
    rows = compared(Settings.model_validate(tree), {"raf-db": found})
    assert [(row.head, row.expclip.uar) for row in rows] == [("contrastive", 50), ("ridge", 0)]


@pytest.mark.usefixtures("at_root")
def test_ferplus_from_votes_is_compared_with_ferplus_and_fer2013_with_nothing():
    files = builtin_definitions()
    settings = preset_with(
        ["votes", "fer2013"], votes={"source": str(files["ferplus-csv"])}, fer2013={"source": str(files["fer2013"])}
    )
    votes, fer2013 = compared(
        settings,
        dict(zip(["votes", "fer2013"], confusions(np.eye(8, dtype=int), np.eye(7, dtype=int)), strict=True)),
    )
    assert (votes.paper_clip, votes.published_n, votes.later) == (Pair(36.05, 33.89), 3137, Pair(55.1, None))
    assert not fer2013.is_published
    assert fer2013.published_n is None


@pytest.mark.usefixtures("at_root")
def test_another_clip_or_prompts_from_a_file_are_not_compared_with_logs():
    tree = preset_with(["raf-db"]).model_dump()
    found = {"raf-db": confusions(np.eye(7, dtype=int))[0]}
    tree["clip"]["model"] = "ViT-H-14"
    (row,) = compared(Settings.model_validate(tree), found)
    assert (row.backbone, row.is_published, row.published_n) == (None, False, 3068)
    own = {"classes": 7, **{key: {"0": found["raf-db"][key]["2"]} for key in ("clip", "expclip")}}
    (row,) = compared(preset_with(["raf-db"]), {"raf-db": own})
    assert (row.log, row.paper_expclip) == (None, Pair(39.56, 42.14))


@pytest.mark.usefixtures("at_root")
def test_the_csv_and_the_table_show_the_rows():
    matrix = golden_matrices("B/32", 2)["raf-db"]
    names = ["raf-db", "dfew-1"]
    rows = compared(preset_with(names), dict(zip(names, confusions(matrix, matrix), strict=True)))
    first, second = csv.DictReader(io.StringIO(comparison_csv(rows)))
    assert (first["test_set"], first["part"], first["items"], first["published_items"]) == (
        "raf-db",
        "whole",
        "3068",
        "3068",
    )
    assert float(first["expclip_uar"]) == pytest.approx(42.00, abs=0.005)
    assert float(first["log_difference_war"]) == pytest.approx(0, abs=0.005)
    assert float(first["paper_expclip_difference_uar"]) == pytest.approx(42.00 - 39.56, abs=0.006)
    assert float(first["paper_clip_difference_war"]) == pytest.approx(100 - 30.05)
    assert (first["emocapclip_uar"], second["emocapclip_uar"], second["log_uar"]) == ("62.900", "", "")
    table = comparison_to_terminal(rows)
    shown = [list(column.cells) for column in table.columns]
    own = [["raf-db"], ["2"], ["3068"], ["100.00/100.00"], ["34.97/30.05"], ["42.00/51.27"]]
    assert shown[:8] == [*own, ["39.56/42.14"], ["42.00/51.27"]]
    assert "B/32" in str(table.title)
    console = Console(width=132, file=io.StringIO())
    console.print(comparison_to_terminal([replace(row, test_set="dfew", part="fold mean", n=11690) for row in rows]))
    assert "…" not in console.file.getvalue()
    assert "dfew, fold mean" in console.file.getvalue()
