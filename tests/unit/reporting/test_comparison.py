"""The published log values follow from the published confusion matrices through our scoring stage."""

import csv
import io
import json
import re
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from answers import statistics_of
from expclip_cache.cache.reader import FeatureCache
from expclip_cache.datasets.definition import builtin_definitions, load_definition
from expclip_cache.datasets.settings import DatasetSettings
from expclip_cache.encoders.settings import ClipSettings
from expclip_cache.heads.head_file import write_head
from expclip_cache.prompts.settings import PromptSettings
from expclip_cache.prompts.templates import prompt_table
from expclip_cache.reporting.comparison import Comparison, Pair, compare_with_published
from expclip_cache.reporting.comparison_table import comparison_csv, comparison_to_terminal
from expclip_cache.reporting.paper_table.build import paper_table
from expclip_cache.reporting.paper_table.columns import table_columns
from expclip_cache.reporting.paper_table.content import TableOptions
from expclip_cache.reporting.published import RESULTS
from expclip_cache.reporting.text_table import MOST_ROWS, WIDTH
from expclip_cache.scoring.results import HeadScores, PromptSetScores, TestSetScores
from expclip_cache.scoring.study import HeadToScore, complete_scores
from expclip_cache.statistics.bootstrap import Interval, ScoreIntervals
from labelled_caches import write_labelled, write_prompts

GOLDEN = json.loads((Path(__file__).parents[2] / "data/golden_confusions.json").read_text())
MODELS = {"B/32": "ViT-B-32-quickgelu", "B/16": "ViT-B-16-quickgelu"}
# Weight of the half of a feature that decides plain CLIP's prediction, relative to the half that the head keeps.
CLIP_WEIGHT = 10.0


def dataset(name: str) -> DatasetSettings:
    """A published dataset, or with a number at the end one of its folds."""
    folded = re.fullmatch(r"(dfew|mafw)-(\d)", name)
    source = str(builtin_definitions()[folded[1] if folded else name])
    return DatasetSettings(source=source, fold=int(folded[2]) if folded else None)


@cache
def classes_of(name: str) -> tuple[str, ...]:
    return load_definition(dataset(name).source).classes


def scores_of(folder: Path, matrices: dict[str, np.ndarray], prompts: PromptSettings) -> list[TestSetScores]:
    """Our scores of features from which the head predicts what each matrix counts, and plain CLIP the true class.

    Both halves of a feature are one-hot: the first, with the larger weight, is the true class, the second the class to
    predict. The head keeps only the second half.
    """
    c = 11
    owner = {
        prompt.text: classes_of(name).index(prompt.class_name)
        for name in matrices
        for prompt in prompt_table(prompts.set, prompts.types, classes_of(name))
    }
    embeddings = np.eye(c)[list(owner.values())]
    write_prompts(folder / "prompts", np.hstack([CLIP_WEIGHT * embeddings, embeddings]), list(owner))
    write_head(folder / "seed-1.safetensors", np.hstack([np.zeros((c, c)), np.eye(c)]), {})
    found = []
    for name, matrix in matrices.items():
        truth, predicted = (np.repeat(index, matrix.ravel()) for index in np.indices(matrix.shape).reshape(2, -1))
        features = np.hstack([CLIP_WEIGHT * np.eye(c)[truth], np.eye(c)[predicted]])
        paths = [f"{row}.png" for row in range(len(truth))]
        write_labelled(folder / "images" / name, features, truth, paths, classes_of(name))
        found.append(
            complete_scores(
                folder / f"{name}.json",
                folder / f"{name}.parquet",
                FeatureCache(folder / "images" / name),
                FeatureCache(folder / "prompts"),
                {"reference": prompts},
                [HeadToScore("blip2", "contrastive", 1, folder / "seed-1.safetensors")],
                backbone="clip",
                test_set=name,
            )
        )
    return found


def golden_matrices(backbone: str, kind: int) -> dict[str, np.ndarray]:
    """Key in the presets -> (c, c) int64."""
    matrices = {}
    for dataset, kinds in GOLDEN["matrices"][backbone].items():
        folds = kinds[str(kind)]
        for number, fold in enumerate(folds, start=1):
            c = round(len(fold) ** 0.5)
            matrices[f"{dataset}-{number}" if len(folds) > 1 else dataset] = np.reshape(fold, (c, c))
    return matrices


def scored(folder: Path, backbone: str, kind: int, matrices: dict[str, np.ndarray]) -> list[Comparison]:
    """The comparison of `scores_of` under one prompt type."""
    prompts = PromptSettings(types=(kind,))
    found = scores_of(folder, matrices, prompts)
    backbones = {"clip": ClipSettings(model=MODELS[backbone], weights="openai")}
    test_sets = {name: dataset(name) for name in matrices}
    statistics = statistics_of(found, test_sets)
    return compare_with_published(backbones, {"reference": prompts}, test_sets, found, statistics)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("backbone", MODELS)
def test_our_scoring_reproduces_the_published_logs(tmp_path, backbone, kind):
    matrices = golden_matrices(backbone, kind)
    assert len(matrices) == 6 + 2 * 5
    rows = scored(tmp_path, backbone, kind, matrices)
    published = {row.test_set: row for row in rows if row.is_published}
    assert set(published) == set(GOLDEN["published"][backbone])
    for dataset, row in published.items():
        uar, war = GOLDEN["published"][backbone][dataset][str(kind)]
        assert (row.log, row.published_as) == (Pair(uar, war), f"CLIP {backbone}")
        assert row.expclip.uar == pytest.approx(uar, abs=0.005), dataset
        assert row.expclip.war == pytest.approx(war, abs=0.005), dataset
        assert row.clip == Pair(100, 100)
        assert row.n == row.published_n
    assert {row.test_set for row in rows if row.part == "fold mean"} == {"dfew", "mafw"}
    folds = [row for row in rows if row.part == "fold"]
    assert len(folds) == 10
    assert all(row.n == row.published_n == matrices[row.test_set].sum() for row in folds)


@pytest.mark.slow
def test_a_reproduced_log_has_a_dagger_in_every_column_of_the_table_for_a_paper(tmp_path):
    matrices = golden_matrices("B/16", 5)
    columns = {
        key: title for key, title in table_columns({name: dataset(name) for name in matrices}).items() if key.test_set
    }
    options = TableOptions(published=True)
    (block,) = paper_table(scored(tmp_path, "B/16", 5, matrices), columns, options, confidence=95).blocks
    (_, _, log, clip, expclip) = block.lines
    assert [line.name for line in (log, clip, expclip)] == ["Exp-CLIP, log, type 5", "CLIP", "Exp-CLIP"]
    assert len(columns) == len(log.cells) == 8
    for ours, theirs in zip(expclip.cells, log.cells, strict=True):
        assert (ours.uar.value, ours.war.value) == pytest.approx((theirs.uar.value, theirs.war.value), abs=0.005)
        assert ours.uar.covers
        assert ours.war.covers
    assert not any(cell.uar.covers for cell in clip.cells), "plain CLIP is always right here"


def test_swapping_two_classes_does_not_give_the_published_scores(tmp_path):
    matrix = golden_matrices("B/32", 2)["raf-db"]
    swapped = matrix[:, [1, 0, 2, 3, 4, 5, 6]]
    (row,) = scored(tmp_path, "B/32", 2, {"raf-db": swapped})
    assert abs(row.expclip.uar - row.log.uar) > 1


def measured(
    name: str,
    heads: Mapping[tuple[str, int | None], np.ndarray],
    *,
    backbone: str = "clip",
    prompts: str = "reference",
    kind: int = 2,
) -> TestSetScores:
    """Scores with plain CLIP always right, and with heads (name, seed) -> confusion matrix."""
    matrices = {key: np.asarray(matrix, dtype=np.int64) for key, matrix in heads.items()}
    plain = np.diag(next(iter(matrices.values())).sum(axis=1))
    found = [HeadScores("blip2", head, seed, "0", {kind: matrix}, None) for (head, seed), matrix in matrices.items()]
    sets = {prompts: PromptSetScores({}, {kind: plain}, tuple(found))}
    return TestSetScores(backbone, name, classes_of(name), {"skipped": []}, sets)


def compared(
    *scores: TestSetScores, model: str = "ViT-B-32-quickgelu", prompts: Mapping[str, PromptSettings] | None = None
) -> list[Comparison]:
    """`compare_with_published` of one backbone or several of one model, without the mean over the test sets."""
    backbones = {found.backbone: ClipSettings(model=model, weights="openai") for found in scores}
    test_sets = {found.test_set: dataset(found.test_set) for found in scores}
    sets = prompts or {"reference": PromptSettings()}
    rows = compare_with_published(backbones, sets, test_sets, scores, statistics_of(scores, test_sets))
    return [row for row in rows if row.part != "mean"]


ONE = ("contrastive", 1)


def test_folds_are_averaged_and_pooled():
    rng = np.random.default_rng(0)
    folds = [rng.integers(1, 50 * n, (7, 7)) for n in (1, 2, 3, 4, 5)]
    names = [f"dfew-{n}" for n in (2, 1, 3, 4, 5)]
    rows = compared(*(measured(name, {ONE: fold}) for name, fold in zip(names, folds, strict=True)))
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


def test_the_mean_over_folds_and_seeds_is_that_of_every_fold_and_seed():
    rng = np.random.default_rng(1)
    # Other predictions for the same items: the rows' sums are equal.
    first = {f"dfew-{n}": rng.integers(1, 50, (7, 7)) for n in (1, 2, 3, 4, 5)}
    folds = {name: [rng.permuted(matrix, axis=1) for _ in range(3)] for name, matrix in first.items()}
    rows = compared(
        *(measured(name, {("h", seed): m for seed, m in enumerate(found)}) for name, found in folds.items())
    )
    uars = [100 * np.mean(np.diag(m) / m.sum(axis=1)) for found in folds.values() for m in found]
    (row,) = (row for row in rows if row.part == "fold mean")
    assert row.expclip.uar == pytest.approx(np.mean(uars))


def test_the_mean_over_the_test_sets_is_a_row_in_which_folds_count_once():
    rng = np.random.default_rng(2)
    scores = [measured(f"dfew-{n}", {ONE: rng.integers(1, 50, (7, 7))}) for n in (1, 2, 3, 4, 5)]
    scores.append(measured("raf-db", {ONE: rng.integers(1, 50, (7, 7))}))
    test_sets = {found.test_set: dataset(found.test_set) for found in scores}
    backbones, sets = (
        {"clip": ClipSettings(model="ViT-B-32-quickgelu", weights="openai")},
        {"reference": PromptSettings()},
    )
    rows = compare_with_published(backbones, sets, test_sets, scores, statistics_of(scores, test_sets))
    folds, whole, mean = (next(row for row in rows if row.part == part) for part in ("fold mean", "whole", "mean"))
    assert mean.expclip.uar == pytest.approx((folds.expclip.uar + whole.expclip.uar) / 2)
    assert mean.expclip_intervals.uar.covers(mean.expclip.uar)
    assert (mean.test_set, mean.is_published, mean.n) == ("", False, folds.n + whole.n)


def test_four_of_five_folds_have_no_mean_to_compare():
    rows = compared(*(measured(f"mafw-{n}", {ONE: np.eye(11, dtype=int)}) for n in (1, 2, 3, 4)))
    assert [row.part for row in rows] == ["fold"] * 4


def test_seeds_of_one_head_are_averaged_and_heads_kept_separate():
    right, wrong = np.diag([2] * 7), np.roll(np.diag([2] * 7), 1, axis=1)
    heads = {("contrastive", 1): right, ("contrastive", 2): wrong, ("ridge", None): wrong}
    rows = compared(measured("raf-db", heads))
    assert [(row.head, row.expclip.uar) for row in rows] == [("contrastive", 50), ("ridge", 0)]


def test_every_backbone_is_compared_with_its_own_results():
    scores = [measured("raf-db", {ONE: np.eye(7)}, backbone=name) for name in ("one", "two")]
    backbones = {
        "one": ClipSettings(model="ViT-L-14-quickgelu", weights="openai"),
        "two": ClipSettings(model="ViT-B-16-quickgelu", weights="openai"),
    }
    test_sets = {"raf-db": dataset("raf-db")}
    statistics = statistics_of(scores, test_sets)
    found = compare_with_published(backbones, {"reference": PromptSettings()}, test_sets, scores, statistics)
    assert [(row.backbone, row.published_as, row.log.uar) for row in found] == [
        ("one", "CLIP L/14", 58.08),
        ("two", "CLIP B/16", 57.01),
    ]


def test_a_backbone_without_heads_is_compared_with_plain_clip():
    found = measured("raf-db", {ONE: np.eye(7)})
    alone = replace(found.prompt_sets["reference"], heads=())
    (row,) = compared(replace(found, prompt_sets={"reference": alone}))
    assert (row.head, row.expclip, row.clip, row.paper_clip) == ("", None, Pair(100, 100), Pair(34.97, 30.05))
    (line,) = csv.DictReader(io.StringIO(comparison_csv([row])))
    assert (line["expclip_uar"], line["log_difference_uar"]) == ("", "")


def test_ferplus_from_votes_is_compared_with_ferplus_and_fer2013_with_nothing():
    votes, fer2013 = compared(measured("ferplus-csv", {ONE: np.eye(8)}), measured("fer2013", {ONE: np.eye(7)}))
    assert (votes.paper_clip, votes.published_n, votes.later) == (Pair(36.05, 33.89), 3137, Pair(55.1, None))
    assert not fer2013.is_published
    assert fer2013.published_n is None


def test_another_clip_or_other_prompts_are_not_compared_with_logs():
    found = measured("raf-db", {ONE: np.eye(7)})
    (row,) = compared(found, model="ViT-H-14")
    assert (row.published_as, row.is_published, row.published_n) == (None, False, 3068)
    own = {"own": PromptSettings(set="prompts/own.yaml"), "clean": PromptSettings(set="clean")}
    for name, kind in (("own", 0), ("clean", 2)):
        (row,) = compared(measured("raf-db", {ONE: np.eye(7)}, prompts=name, kind=kind), prompts=own)
        assert (row.log, row.paper_expclip) == (None, Pair(39.56, 42.14))


def test_the_csv_and_the_table_show_the_rows():
    matrix = golden_matrices("B/32", 2)["raf-db"]
    rows = compared(measured("raf-db", {ONE: matrix}), measured("dfew-1", {ONE: matrix}))
    first, second = csv.DictReader(io.StringIO(comparison_csv(rows)))
    names = (
        "test_set",
        "part",
        "items",
        "published_items",
        "backbone",
        "published_backbone",
        "teacher",
        "head",
        "prompts",
    )
    assert [first[name] for name in names] == [
        *("raf-db", "whole", "3068", "3068"),
        *("clip", "B/32", "blip2", "contrastive", "reference"),
    ]
    assert float(first["expclip_uar"]) == pytest.approx(42.00, abs=0.005)
    assert float(first["log_difference_war"]) == pytest.approx(0, abs=0.005)
    assert float(first["paper_expclip_difference_uar"]) == pytest.approx(42.00 - 39.56, abs=0.006)
    assert float(first["paper_clip_difference_war"]) == pytest.approx(100 - 30.05)
    assert (first["emocapclip_uar"], second["emocapclip_uar"], second["log_uar"]) == ("62.900", "", "")
    lines = [re.split(r"\s{2,}", line.strip()) for line in shown(rows).splitlines()]
    (line,) = (line for line in lines if line[0] == "raf-db")
    assert line[:-1] == ["raf-db", "type 2", "3068", "100.0", "35.0", "39.6", "42.0"]
    assert line[-1] in ("42.0 (-0.0)*", "42.0 (+0.0)*")
    assert "*: a published score" in shown(rows)
    assert ["CLIP B/32"] in lines
    assert lines[4:6] == [["plain", "plain", "Exp-"], ["CLIP", "CLIP", "CLIP"]]
    assert lines[6] == ["test set", "prompts", "items", "ours", "paper", "paper", "log", "contrastive"]
    assert not any(line[0] == "dfew-1" for line in lines)


def test_the_csv_says_which_published_scores_our_interval_covers():
    matrix = golden_matrices("B/32", 2)["raf-db"]
    (row,) = compared(measured("raf-db", {ONE: matrix}))
    (line,) = csv.DictReader(io.StringIO(comparison_csv([row])))
    assert (line["log_inside"], line["paper_expclip_inside"], line["paper_clip_inside"]) == ("true", "false", "false")
    assert float(line["expclip_uar_low"]) < 42.00 < float(line["expclip_uar_high"])
    assert float(line["expclip_uar_low"]) > 39.56
    # The published matrix is the same one, so its interval differs by the draws only.
    for end in ("uar_low", "uar_high", "war_low", "war_high"):
        assert float(line[f"log_{end}"]) == pytest.approx(float(line[f"expclip_{end}"]), abs=0.6)
    (row,) = compared(measured("fer2013", {ONE: np.eye(7)}))
    (line,) = csv.DictReader(io.StringIO(comparison_csv([row])))
    assert [line[name] for name in ("log_inside", "log_uar_low", "paper_clip_inside")] == ["", "", ""]


def shown(rows: list[Comparison]) -> str:
    console = Console(width=WIDTH, file=io.StringIO())
    console.print(comparison_to_terminal(rows))
    return console.file.getvalue()


@pytest.mark.parametrize("heads", [("contrastive",), ("contrastive", "ridge", "a-head-with-a-long-name-of-its-own")])
def test_the_table_of_a_whole_study_is_within_80_columns_and_cuts_nothing(heads):
    pair = Pair(98.76, 98.76)
    intervals = ScoreIntervals(Interval(90, 100), Interval(90, 100))
    rows = [
        Comparison(
            test_set=name,
            part="whole",
            backbone=f"clip-{backbone[0].lower()}{backbone[2:]}",
            teacher="blip2-flan-t5-xxl",
            head=head,
            prompts="reference",
            prompt_type=kind,
            published_as=f"CLIP {backbone}",
            n=11690,
            published_n=11697,
            clip=pair,
            clip_intervals=intervals,
            expclip=Pair(100.0, 100.0),
            expclip_intervals=intervals,
            paper_clip=pair,
            paper_expclip=pair,
            log=Pair(70.1, 70.1),
            later=None,
        )
        for backbone in ("B/32", "B/16", "L/14")
        for name in dict.fromkeys(result.dataset for result in RESULTS)
        for kind in (1, 2, 3, 4, 5)
        for head in heads
    ]
    text = shown(rows)
    assert max(map(len, text.splitlines())) <= WIDTH
    assert "…" not in text
    assert "report/comparison.csv has the others" in text
    assert "type 4" not in text
    assert text.count("100.0 (+29.9)") == 3 * 8 * len(heads)
    assert "11690/11697" in text
    few = shown([row for row in rows if row.backbone == "clip-b32"][: MOST_ROWS // 2])
    assert "type 4" in few
    assert "has the others" not in few
