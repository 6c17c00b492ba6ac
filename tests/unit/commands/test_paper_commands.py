"""`table` and `figures` over the results of a small study."""

import csv
import io
import shutil
import sys
from pathlib import Path
from statistics import mean

import pytest
from ruamel.yaml import YAML
from typer.testing import CliRunner

from expclip_cache.commands.app import app
from sample_results import study, write_results


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """A study of two test sets with its results, made once; nothing below changes it."""
    folder = tmp_path_factory.mktemp("study")
    settings = study(test_sets=("demo-clean", "demo-clips"), seeds=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_results(folder, settings, items=70)
    YAML(typ="safe").dump(settings.model_dump(mode="json", exclude_unset=True), folder / "params.yaml")
    return folder


@pytest.fixture
def workplace(results, monkeypatch, tmp_path):
    """In the folder of the study; what a command writes goes to `tmp_path`."""
    monkeypatch.chdir(results)
    return tmp_path


def run(*words: object):
    return CliRunner().invoke(app, [str(word) for word in words])


def test_the_table_has_the_scores_of_the_study(workplace):
    result = run("table", "--format", "csv", "--digits", 3)
    assert result.exit_code == 0
    found = {line["method"]: line for line in csv.DictReader(io.StringIO(result.output))}
    with Path("results/scores.csv").open(newline="") as file:
        scores = [line for line in csv.DictReader(file) if line["prompt_type"] == "5"]
    for head in ("", "contrastive", "ridge"):
        for test_set in ("demo-clean", "demo-clips"):
            own = [line for line in scores if (line["head"], line["test_set"]) == (head, test_set)]
            line = found[f"Exp-CLIP ({head})" if head else "CLIP"]
            for metric in ("uar", "war"):
                expected = mean(float(line[metric]) for line in own)
                assert float(line[f"{test_set} {metric.upper()}"]) == pytest.approx(expected, abs=0.0011)


def test_the_intervals_are_those_of_the_study(workplace):
    (clip, *_) = csv.DictReader(io.StringIO(run("table", "--format", "csv", "--intervals", "--digits", 3).output))
    with Path("results/statistics/intervals.csv").open(newline="") as file:
        row = next(
            line
            for line in csv.DictReader(file)
            if (line["test_set"], line["head"], line["prompt_type"]) == ("demo-clips", "", "5")
        )
    found = [float(clip[f"demo-clips WAR{kind}"]) for kind in ("", " low", " high")]
    assert found == pytest.approx([float(row[name]) for name in ("war", "war_low", "war_high")], abs=0.0011)


def test_the_suffix_says_what_is_written(workplace):
    shown = run("table", "--mean").output
    for name, start in (("a/t.tex", "% Needs"), ("t.md", "| Method |"), ("t.csv", "backbone,method,")):
        result = run("table", "--mean", "--out", workplace / name)
        assert (result.exit_code, (workplace / name).read_text()[: len(start)]) == (0, start)
    assert (workplace / "t.md").read_text() == shown
    assert "The faces of all test sets are drawn" in shown
    result = run("table", "--out", workplace / "t.txt")
    assert result.exit_code == 1
    assert "expected a suffix .tex, .md, .csv, or --format beside it" in result.output
    assert run("table", "--out", workplace / "t.txt", "--format", "latex").exit_code == 0


def test_a_prompt_type_that_was_not_scored_is_refused(workplace):
    result = run("table", "--prompt-type", 4)
    assert result.exit_code == 1
    assert "--prompt-type: expected a prompt type that was scored (2, 5;" in result.output


def test_every_figure_is_drawn_and_named_after_what_it_shows(workplace):
    result = run("figures", "--out", workplace, "--format", "svg")
    assert result.exit_code == 0, result.output
    heads, sets = ("contrastive", "ridge"), ("demo-clean", "demo-clips")
    assert {path.name for path in workplace.iterdir()} == {
        *(f"{kind}_{head}.svg" for kind in ("uar", "gains") for head in heads),
        *(f"{kind}_{name}_{head}.svg" for kind in ("confusion", "recall") for name in sets for head in heads),
        "loss_contrastive.svg",
    }


def test_a_choice_is_drawn_and_a_second_run_writes_the_same_bytes(workplace):
    words = ("--head", "ridge", "--test-set", "demo-clips", "--kind", "gains,recall", "--format", "pdf,svg")
    for folder in ("one", "two"):
        assert run("figures", *words, "--out", workplace / folder).exit_code == 0
    one, two = ({path.name: path.read_bytes() for path in (workplace / name).iterdir()} for name in ("one", "two"))
    assert one == two
    assert set(one) == {
        f"{name}.{kind}" for name in ("gains_ridge", "recall_demo-clips_ridge") for kind in ("svg", "pdf")
    }


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--kind", "bars"), "--kind: expected some of uar, gains, loss, confusion, recall, found bars"),
        (("--format", "png"), "--format: expected some of svg, pdf, found png"),
        (("--head", "lora"), "'lora', which is not in heads: contrastive, ridge"),
        (("--test-set", "raf-db"), "'raf-db', which is not in score.datasets: demo-clean, demo-clips"),
    ],
)
def test_what_is_not_known_is_named(workplace, words, message):
    result = run("figures", *words, "--out", workplace)
    assert result.exit_code == 1
    assert message in result.output
    assert not list(workplace.iterdir())


def test_without_matplotlib_it_says_what_to_install(workplace, monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    result = run("figures", "--out", workplace / "figures")
    assert result.exit_code == 1
    assert "pip install 'expclip-cache[figures]'" in result.output
    assert not (workplace / "figures").exists()


def test_every_figure_is_drawn_from_what_git_keeps(results, monkeypatch, tmp_path):
    shutil.copytree(results, tmp_path / "clone", ignore=shutil.ignore_patterns("predictions", "features"))
    monkeypatch.chdir(tmp_path / "clone")
    assert run("figures", "--head", "ridge", "--format", "svg").exit_code == 0
    assert list(Path("figures").glob("recall_*.svg"))
