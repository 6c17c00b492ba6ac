"""Whether a rerun reproduces the results: bit for bit or within a tolerance, and what is printed if it does not."""

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from expclip_cache.base.csv_text import csv_text
from expclip_cache.base.errors import DataError
from expclip_cache.commands.app import app
from expclip_cache.reporting.comparison import compare_with_published
from expclip_cache.reporting.comparison_table import comparison_csv
from expclip_cache.reporting.rerun import compare_results
from expclip_cache.reporting.score_files import confusion_csvs, headline_csv, headline_metrics, systems_csv
from expclip_cache.scoring.score_file import read_score_file, write_score_file
from expclip_cache.settings.paths import STATISTICS
from expclip_cache.settings.study_report import write_files
from expclip_cache.statistics.systems import system_scores
from expclip_cache.statistics.tables import read_statistics
from sample_results import study, write_results

SETTINGS = study(test_sets=("demo-grey", "demo-clips"), seeds=2)
SCORES = "results/scores/demo-clip/demo-grey.json"


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> Path:
    """results/ and report/ of a study."""
    folder = tmp_path_factory.mktemp("recorded")
    write_results(folder, SETTINGS, items=70)
    found = [read_score_file(path) for path in sorted(folder.glob("results/scores/*/*.json"))]
    statistics = read_statistics(folder / STATISTICS, SETTINGS.statistics)
    scores = system_scores((row for one in found for row in one.rows()), statistics)
    test_sets = {name: SETTINGS.datasets[name] for name in SETTINGS.score.datasets}
    compared = compare_with_published(SETTINGS.backbones, SETTINGS.prompts, test_sets, found, statistics)
    files = {
        "metrics.json": json.dumps(headline_metrics(scores, statistics), indent=2),
        "systems.csv": systems_csv(scores),
        "uar.csv": headline_csv(scores),
        "comparison.csv": comparison_csv(compared),
        **{f"confusion/{name}": text for name, text in confusion_csvs(found).items()},
    }
    write_files(folder / "report", files)
    return folder


@pytest.fixture
def pair(results, tmp_path) -> tuple[Path, Path]:
    for name in ("recorded", "rerun"):
        for part in ("results", "report"):
            shutil.copytree(results / part, tmp_path / name / part)
    return tmp_path / "recorded", tmp_path / "rerun"


def change_csv(root: Path, name: str, column: str, by: float, **line: str) -> None:
    """Add to a number of the only line with the given cells."""
    path = root / name
    lines = list(csv.DictReader(path.read_text().splitlines()))
    (found,) = (one for one in lines if line.items() <= one.items())
    found[column] = f"{float(found[column]) + by:.3f}" if "." in found[column] else str(int(found[column]) + int(by))
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(found), lineterminator="\n")
        writer.writeheader()
        writer.writerows(lines)


def change_json(root: Path, name: str, change: Callable[[dict], object]) -> None:
    tree = json.loads((root / name).read_text())
    change(tree)
    (root / name).write_text(json.dumps(tree))


LINE = {"test_set": "demo-grey", "head": "contrastive", "prompt_type": "5"}


def run(pair, *options: str):
    return CliRunner().invoke(app, ["compare-results", *map(str, pair), *options], catch_exceptions=False)


def test_equal_results_are_identical(pair):
    done = run(pair)
    assert done.exit_code == 0
    assert "identical: 19 result files, bit for bit" in done.stdout


def test_what_a_single_item_changes_does_not_count_under_a_tolerance(pair):
    path = pair[1] / "results/statistics/differences.csv"
    lines = list(csv.DictReader(path.read_text().splitlines()))
    line = next(one for one in lines if one["mcnemar_p"])
    line |= {"only_this_right": "77", "mcnemar_p": "0.5", "holm_p": "1"}
    path.write_text(csv_text(list(lines[0]), (one.values() for one in lines)))
    assert {difference.key.rpartition(".")[2] for difference in compare_results(*pair).differences} == {
        "only_this_right",
        "mcnemar_p",
        "holm_p",
    }
    assert compare_results(*pair, tolerance=0.1).matches
    change_csv(pair[1], "results/statistics/recalls.csv", "recall", 10.0, **LINE, class_name="fear")
    of_class = "demo-grey/demo-clip/demo-llm/contrastive/reference/5/fear.recall"
    assert of_class in {difference.key for difference in compare_results(*pair).differences}
    assert compare_results(*pair, tolerance=0.1).matches
    change_csv(pair[1], "results/statistics/intervals.csv", "uar_low", 0.25, **LINE, part="whole")
    (difference,) = compare_results(*pair, tolerance=0.1).differences
    assert difference.key == "demo-grey/whole/demo-clip/demo-llm/contrastive/reference/5.uar_low"


@pytest.mark.parametrize(
    ("file", "line", "key"),
    [
        ("report/systems.csv", LINE, "demo-grey/demo-clip/demo-llm/contrastive/reference/5.uar"),
        ("results/scores.csv", LINE | {"seed": "2"}, "demo-grey/demo-clip/demo-llm/contrastive/2/reference/5.uar"),
        ("report/uar.csv", {"test_set": "demo-clips", "system": "plain CLIP"}, "demo-clips/plain CLIP.uar"),
    ],
)
def test_a_changed_score_is_reported_unless_within_the_tolerance(pair, file, line, key):
    change_csv(pair[1], file, "uar", 0.25, **line)
    (difference,) = compare_results(*pair).differences
    assert (difference.file, difference.key) == (file, key)
    assert difference.rerun - difference.recorded == pytest.approx(0.25)
    done = run(pair)
    assert done.exit_code == 1
    assert f"{file} {key}: recorded {difference.recorded}, rerun {difference.rerun}" in done.stdout
    assert run(pair, "--tolerance", "0.2").exit_code == 1
    done = run(pair, "--tolerance", "0.3")
    assert done.exit_code == 0
    assert "reproduced within 0.3 points; the largest difference is 0.250 points" in done.stdout


def test_a_changed_headline_number_is_reported_by_its_keys(pair):
    def change(tree: dict) -> None:
        tree["demo-clip"]["demo-llm"]["ridge"]["reference"]["test_sets"]["demo-grey"] += 0.25

    change_json(pair[1], "report/metrics.json", change)
    (difference,) = compare_results(*pair).differences
    assert difference.key == "demo-clip.demo-llm.ridge.reference.test_sets.demo-grey"
    assert compare_results(*pair, tolerance=0.3).matches


@pytest.mark.parametrize(
    ("file", "column", "line"),
    [
        ("report/systems.csv", "seeds", LINE),
        ("report/systems.csv", "items", LINE),
        ("report/comparison.csv", "items", LINE),
        ("results/scores.csv", "skipped", LINE | {"seed": "1"}),
    ],
)
def test_the_tolerance_does_not_apply_to_counts(pair, file, column, line):
    change_csv(pair[1], file, column, 1, **line)
    found = compare_results(*pair, tolerance=50.0)
    assert [(difference.file, difference.key.rpartition(".")[2]) for difference in found.differences] == [
        (file, column)
    ]


def test_the_tolerance_does_not_apply_to_what_was_fitted(pair):
    change_json(
        pair[1], "results/heads/metrics.json", lambda tree: tree["demo-clip"]["demo-llm"]["ridge"].update(rows=9)
    )
    found = compare_results(*pair, tolerance=50.0)
    assert [difference.key for difference in found.differences] == ["demo-clip.demo-llm.ridge.rows"]


def test_single_items_matter_only_at_tolerance_0(pair):
    path = pair[1] / SCORES
    found = read_score_file(path)
    matrix = found.prompt_sets["reference"].heads[0].confusions[5]
    right = int(matrix[0, 0])
    matrix[0, :2] += (-1, 1)
    found.prompt_sets["reference"].heads[0].changes["counts"]["right"] -= 1
    write_score_file(path, found)
    exact = compare_results(*pair)
    (cell,) = (one for one in exact.differences if one.key.endswith("contrastive/1.confusions.5.0.0"))
    assert (cell.recorded, cell.rerun) == (right, right - 1)
    assert {one.key.rpartition(".")[2] for one in exact.differences} >= {"right", "xxh3_128"}
    assert SCORES in run(pair).stdout
    assert compare_results(*pair, tolerance=0.001).matches


def test_the_loss_matters_only_at_tolerance_0_but_its_seeds_and_epochs_always(pair):
    path = pair[1] / "results/heads/loss.csv"
    text = path.read_text()
    path.write_text(text.replace(",1,1,", ",1,1,9"))
    (difference,) = compare_results(*pair).differences
    assert difference.key == "demo-clip/demo-llm/contrastive/1/1.loss"
    assert compare_results(*pair, tolerance=0.001).matches
    path.write_text("".join(text.splitlines(keepends=True)[:-1]))
    (difference,) = compare_results(*pair, tolerance=50.0).differences
    assert (difference.key, difference.rerun) == ("demo-clip/demo-llm/contrastive/2/20.loss", None)


def test_the_order_of_items_matters_only_at_tolerance_0(pair):
    path = pair[1] / "report/confusion/demo-grey/clip.csv"
    header, first, *others = path.read_text().splitlines(keepends=True)
    path.write_text("".join([header, *others, first]))
    (difference,) = compare_results(*pair).differences
    assert difference.key.startswith("line ")
    assert compare_results(*pair, tolerance=0.001).matches


@pytest.mark.parametrize(
    "change",
    [
        lambda tree: tree["classes"].reverse(),
        lambda tree: tree["prompt_sets"].update(other=tree["prompt_sets"]["reference"]),
        lambda tree: tree["prompt_sets"]["reference"]["heads"].pop(),
        lambda tree: tree["prompt_sets"]["reference"]["heads"][0].update(seed=9),
        lambda tree: tree["prompt_sets"]["reference"]["clip"].pop("2"),
        lambda tree: tree["prompt_sets"]["reference"]["clip"]["2"][0].__setitem__(0, 99),
        lambda tree: tree["images"]["skipped"].clear(),
        lambda tree: tree["images"].update(rows=71),
    ],
)
def test_what_was_scored_must_be_the_same_at_any_tolerance(pair, change):
    change_json(pair[1], SCORES, change)
    found = compare_results(*pair, tolerance=100.0)
    assert {difference.file for difference in found.differences} == {SCORES}


def test_maps_of_features_are_no_results(pair):
    (pair[1] / "report/maps").mkdir()
    (pair[1] / "report/maps/numbers.csv").write_text("test_set\n")
    assert compare_results(*pair).identical


@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize("file", [SCORES, "report/systems.csv"])
def test_a_missing_file_is_a_difference(pair, side, file):
    (pair[side] / file).unlink()
    found = compare_results(*pair, tolerance=100.0)
    assert [difference.file for difference in found.differences] == [file]
    assert "(missing)" in str(found.differences[0])


@pytest.mark.parametrize("side", [0, 1])
def test_a_missing_line_is_a_difference(pair, side):
    path = pair[side] / "results/scores.csv"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    found = compare_results(*pair, tolerance=100.0)
    assert {difference.key.rpartition(".")[2] for difference in found.differences} == {"items", "skipped", "uar", "war"}
    assert all("(missing)" in str(difference) for difference in found.differences)


def test_the_order_of_lines_and_the_form_of_numbers_matter_at_tolerance_0(pair):
    path = pair[1] / "report/systems.csv"
    header, *lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([header, *reversed(lines)]))
    assert not compare_results(*pair).matches
    assert compare_results(*pair, tolerance=0.001).matches


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("report/metrics.json", "{", "expected JSON"),
        (SCORES, "{}", "not a file of scores"),
        ("report/uar.csv", "test_set,system,uar\na,b\n", "as many cells"),
        ("report/uar.csv", "test_set,system,uar\na,b,1.0\na,b,2.0\n", "found two"),
    ],
)
def test_a_damaged_file_is_named(pair, file, text, message):
    (pair[1] / file).write_text(text)
    with pytest.raises(DataError, match=f"{file}.*{message}"):
        compare_results(*pair, tolerance=0.1)


def test_a_folder_without_results_is_refused(pair, tmp_path):
    with pytest.raises(DataError, match="expected result files"):
        compare_results(tmp_path / "nowhere", pair[1])


def test_line_ends_of_another_platform_do_not_matter(pair):
    path = pair[1] / "results/heads/metrics.json"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert compare_results(*pair).identical
