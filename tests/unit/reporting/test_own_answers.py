"""LLMs' own answers beside CLIP and Exp-CLIP: in the terminal, in the files, on the page, in the table for a paper."""

import csv
import io
import json
import re
import shutil
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from expclip_cache.reporting import TableOptions, compare_results, drawings_of, read_page, table_columns, to_csv
from expclip_cache.reporting.page.html import render_page
from expclip_cache.scoring import RULES, PredictionFile, read_answer_scores, uar
from expclip_cache.scoring.metrics import confusion
from expclip_cache.settings.paths import answer_prediction_file, answer_score_file, prediction_file
from expclip_cache.settings.study_report import report_inputs, report_study
from expclip_cache.settings.study_report import test_sets as sets_of
from expclip_cache.settings.study_table import study_table
from sample_results import inputs_of, study, write_results

SETS = ("demo-clean", "demo-grey")
STUDY = study(test_sets=SETS, seeds=2, answers=("tiny-vlm",))
TWO = study(test_sets=SETS[:1], seeds=1, answers=("one", "other"))


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A folder with results and report, and what the terminal showed."""
    folder = tmp_path_factory.mktemp("own")
    write_results(folder, STUDY)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        console = Console(width=80, record=True, file=io.StringIO())
        console.print(report_study(STUDY))
    return folder, console.export_text()


@pytest.fixture
def results(written, monkeypatch):
    monkeypatch.chdir(written[0])
    return written[0]


def lines(path: str) -> list[dict[str, str]]:
    return list(csv.DictReader(Path(path).read_text().splitlines()))


def answers_of(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    return [row for row in rows if row["backbone"] == "" and row["teacher"]]


def measured(test_set: str, rule: str) -> tuple[float, float]:
    """UAR and WAR in percent from the file of predictions."""
    file = PredictionFile(answer_prediction_file("tiny-vlm", test_set))
    found = confusion(file.truth, file.predicted(next(c for c in file.classifiers if c.head == rule)), 7)
    return uar(found), 100 * np.trace(found) / found.sum()


def test_the_terminal_shows_every_rule_with_its_interval_and_the_agreement(written, results):
    text = written[1]
    assert max(map(len, text.splitlines())) <= 80
    table = text[text.index("The LLM's own answers: tiny-vlm") :]
    for name in SETS:
        row = table[table.index(name) :].splitlines()[0]
        found = read_answer_scores(answer_score_file("tiny-vlm", name))
        numbers = [f"{measured(name, rule)[0]:.1f}" for rule in RULES] + [f"{found.greedy.agreement:.1f} %"]
        assert re.findall(r"\d+\.\d(?: %)?", row) == numbers
    assert "calibrated: raw minus its mean over" in text
    assert re.search(r"answers, calibrated, minus the others.*plain CLIP [+-]\d", text, flags=re.DOTALL)


def test_every_csv_file_has_the_scores_of_every_rule(results):
    files = {"results/scores.csv": "", "report/systems.csv": "", "report/comparison.csv": "answers_"}
    for path, prefix in files.items():
        rows = [row for row in answers_of(lines(path)) if row["test_set"] in SETS]
        assert Counter((row["test_set"], row["head"]) for row in rows) == Counter((s, r) for s in SETS for r in RULES)
        for row in rows:
            assert (row["teacher"], row["prompts"], row["prompt_type"]) == ("tiny-vlm", "", "0")
            found = [float(row[f"{prefix}{score}"]) for score in ("uar", "war")]
            assert found == pytest.approx(measured(row["test_set"], row["head"]), abs=6e-4)
    assert {row["gain"] for row in answers_of(lines("report/systems.csv"))} == {""}
    assert "answers, calibrated" in {row["system"] for row in lines("report/uar.csv")}
    assert len(lines("report/confusion/demo-clean/answers.csv")) == 209


def test_metrics_have_the_mean_and_each_test_set(results):
    tree = json.loads(Path("report/metrics.json").read_text())["answers"]["tiny-vlm"]
    assert tuple(tree) == RULES
    for rule, found in tree.items():
        assert found["uar_low"] <= found["uar"] <= found["uar_high"]
        assert found["uar"] == pytest.approx(np.mean(list(found["test_sets"].values())), abs=0.01)
        assert found["test_sets"]["demo-grey"] == round(measured("demo-grey", rule)[0], 2)


def test_calibrated_answers_are_compared_with_every_system_on_the_same_items(results):
    found = lines("results/statistics/differences.csv")
    rows = [row for row in found if row["head"] == "calibrated" and row["against_backbone"]]
    systems = {(row["against_teacher"], row["against_head"], row["against_prompt_type"]) for row in rows}
    assert systems == {("", "", "5"), ("demo-llm", "contrastive", "5"), ("demo-llm", "ridge", "5")}
    clip = PredictionFile(prediction_file("demo-clip", "demo-clean"))
    without_head = next(one for one in clip.classifiers if (one.head, one.prompt_type) == ("", 5))
    plain = confusion(clip.truth, clip.predicted(without_head), 7)
    (row,) = [r for r in rows if (r["test_set"], r["against_head"]) == ("demo-clean", "")]
    assert float(row["uar"]) == pytest.approx(measured("demo-clean", "calibrated")[0] - uar(plain), abs=6e-4)
    assert row["items"] == "209"
    rules = {(row["head"], row["against_head"]) for row in found if not row["against_backbone"]}
    assert rules == {("length-normalised", "raw"), ("calibrated", "raw"), ("calibrated", "length-normalised")}


def test_the_percentages_of_own_answers_are_not_calibrated(results):
    """`predict` does not show them."""
    assert answers_of(lines("results/statistics/calibration.csv")) == []


def test_the_page_has_the_answers_beside_the_others_and_in_their_own_section(results):
    page = Path("report/index.html").read_text()
    grid = page[page.index('id="scores"') : page.index('id="answers"')]
    for rule in RULES:
        assert f"answers, {rule}<span" in grid
    assert grid.count('class="own"') == 3 + 3 * 3, "three headings, and three cells for each test set and the mean"
    section = page[page.index('id="answers"') : page.index('id="heads"')]
    text = re.sub(r"<[^>]+>", "", section)
    assert "No label and no test item is used" in text
    assert "Calibrated on 100 faces." in text
    found = read_answer_scores(answer_score_file("tiny-vlm", "demo-grey"))
    assert f"demo-grey {found.greedy.agreement:.1f} ({found.greedy.no_name:.1f})" in text
    assert section.count('role="img"') == 1 + 3 * len(SETS)
    assert f"UAR {measured('demo-grey', 'raw')[0]:.1f} → {measured('demo-grey', 'calibrated')[0]:.1f}" in text
    levels = [int(level) for level in re.findall(r"<h(\d)", page)]
    assert all(after <= before + 1 for before, after in pairwise(levels))
    ids = set(re.findall(r'id="([^"]+)"', page))
    assert set(re.findall(r'href="#([^"]+)"', page)) <= ids


def test_the_page_names_the_caches_of_the_answers(results):
    page = read_page(inputs_of(STUDY), ())
    names = [source.name for source in page.sources]
    assert "demo-clean (answers, tiny-vlm)" in names
    assert sum("calibration for happiness" in name for name in names) == 1
    assert {item.dataset for item in page.skipped} == {"demo-clean"}


def test_equal_results_give_equal_bytes(results):
    page = read_page(inputs_of(STUDY), ())
    assert render_page(page) == render_page(read_page(inputs_of(STUDY), ()))


def test_several_llms_are_told_apart(tmp_path, monkeypatch):
    write_results(tmp_path, TWO)
    monkeypatch.chdir(tmp_path)
    report_study(TWO)
    systems = {row["system"] for row in lines("report/uar.csv")}
    assert {"answers, raw / one", "answers, calibrated / other", "plain CLIP", "ridge"} <= systems
    page = Path("report/index.html").read_text()
    assert re.findall(r"<h3>(o\w+)</h3>", page) == ["one", "other"]
    assert "LLMs that see images, one, other, also classify by their own answers" in page
    assert json.loads(Path("report/metrics.json").read_text())["answers"].keys() == {"one", "other"}


def test_a_teacher_that_also_answers_leaves_the_names_of_heads_as_they_are(tmp_path, monkeypatch):
    same = study(test_sets=SETS[:1], seeds=1, answers=("demo-llm",))
    write_results(tmp_path, same)
    monkeypatch.chdir(tmp_path)
    report_study(same)
    names = {"plain CLIP", "contrastive", "ridge", *(f"answers, {rule}" for rule in RULES)}
    assert {row["system"] for row in lines("report/uar.csv")} == names


def test_the_table_for_a_paper_has_a_block_without_clip(results):
    options = TableOptions(mean=True, intervals=True)
    table = study_table(STUDY, options)
    block = table.blocks[-1]
    assert (block.backbone, [line.name for line in block.lines]) == (
        "tiny-vlm, without CLIP",
        [f"answers, {rule}" for rule in RULES],
    )
    for line, rule in zip(block.lines, RULES, strict=True):
        numbers = [cell.uar for cell in line.cells]
        assert [one.value for one in numbers[:-1]] == pytest.approx(
            [measured(name, rule)[0] for name in SETS], abs=6e-4
        )
        assert all(one.interval.low <= one.value <= one.interval.high for one in numbers)
    assert any(sentence.startswith("Answers: by the log-likelihood") for sentence in table.caption)
    assert "tiny-vlm, without CLIP" in to_csv(table, options)


def test_figures_are_those_of_the_heads(results):
    page = read_page(report_inputs(STUDY), ())
    names = [drawing.name for drawing in drawings_of(page, table_columns(sets_of(STUDY)))]
    assert "uar_contrastive" in names
    assert not any("answers" in name for name in names)


def test_a_rerun_with_other_answers_is_noticed(results, tmp_path):
    shutil.copytree(results, tmp_path / "rerun")
    assert compare_results(results, tmp_path / "rerun", 5).matches
    path = tmp_path / "rerun" / answer_score_file("tiny-vlm", "demo-grey")
    tree = json.loads(path.read_text())
    tree["rules"]["raw"][0][0] += 1
    path.write_text(json.dumps(tree))
    (difference,) = compare_results(results, tmp_path / "rerun", 5).differences
    assert difference.key == "items.raw.0"
