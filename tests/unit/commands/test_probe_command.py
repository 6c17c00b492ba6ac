"""`expclip-cache probe` on a study: its files and tables, the section of the report's page, and refusals."""

import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
from ruamel.yaml import YAML
from typer.testing import CliRunner

from expclip_cache.commands.app import app
from hidden_module import hide_module
from sample_results import study, write_results

SECTION = '<section id="probes">'


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A study of two test sets, with few resamples."""
    folder = tmp_path_factory.mktemp("study")
    settings = study(test_sets=("clean", "grey"), seeds=2)
    settings = settings.model_copy(
        update={"statistics": settings.statistics.model_copy(update={"resamples": 200})},
    )
    write_results(folder, settings, items=84)
    tree = settings.model_dump(mode="json", exclude_unset=True) | {"statistics": {"resamples": 200}}
    YAML().dump(tree, folder / "params.yaml")
    return folder


@pytest.fixture
def project(written, tmp_path, monkeypatch):
    """The study in a copy, which is the current folder."""
    shutil.copytree(written, tmp_path / "project")
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path / "project"


def run(*arguments):
    return CliRunner().invoke(app, list(map(str, arguments)))


def page() -> str:
    result = run("report")
    assert result.exit_code == 0, result.output
    return Path("report/index.html").read_text()


def test_the_page_has_a_section_once_there_are_results_of_its_features(project):
    assert SECTION not in page()
    result = run("probe", "--shots", "1,4", "--draws", 2)
    assert result.exit_code == 0, result.output
    assert all(len(line) <= 80 for line in result.stdout.splitlines())
    assert "`expclip-cache report` shows them" in result.output
    html = page()
    assert '<a href="#probes">' in html
    section = html[html.index(SECTION) : html.index('<section id="inputs">')]
    square = pd.read_csv("probes/square.csv", keep_default_na=False)
    for row in square[square["method"] == "probe"].itertuples():
        assert f"trained on {row.trained_on}, tested on {row.test_set}: {row.uar:.1f} [" in section
    assert section.count('class="heat probe"') == 4
    assert section.count('class="cross"') == 2
    assert section.count('class="heat clip"') == 2
    assert section.count('class="heat expclip"') == 4
    assert section.count('class="mean probe"') == 2
    assert section.count('class="zero-shot clip"') == 2
    assert "labels were used only for scoring and by the supervised probes" in html


def test_the_means_within_and_across_sets_are_in_the_terminal_and_on_the_page(project):
    output = " ".join(run("probe").output.split())
    html = " ".join(page().split())
    square = pd.read_csv("probes/square.csv", keep_default_na=False)
    for method, head, name in (
        ("probe", "", "linear probe"),
        ("zero-shot", "", "plain CLIP"),
        ("zero-shot", "ridge", "ridge"),
    ):
        own = square[(square["method"] == method) & (square["head"] == head)]
        diagonal = own["trained_on"] == own["test_set"]
        within, across = (f"{own[part]['uar'].mean():.1f}" for part in (diagonal, ~diagonal))
        assert re.search(rf"{name} {within} {across}(?!\d)", output)
        assert f'<tr><th scope="row">{name}</th><td>{within}</td><td>{across}</td></tr>' in html


def test_results_of_other_features_are_not_on_the_page(project):
    assert run("probe", "--draws", 1).exit_code == 0
    for file in ("square.csv", "few_shot.csv"):
        path = Path("probes") / file
        path.write_text(re.sub(r"[0-9a-f]{16}$", "0123456789abcdef", path.read_text(), flags=re.M))
    html = page()
    assert "probes has results of other features, heads, prompts or code" in html
    assert 'class="heat probe"' not in html
    assert "run `expclip-cache probe` again" in " ".join(run("report").output.split())
    assert run("probe", "--draws", 1).exit_code == 0
    assert 'class="heat probe"' in page()


def test_elsewhere_it_writes_elsewhere(project):
    result = run("probe", "--out", "mine", "--few-shot-on", "grey", "--folds", 3, "--seed", 2, "--few-shot-l2", 1)
    assert result.exit_code == 0, result.output
    assert not Path("probes").exists()
    assert "shows them" not in result.output
    few = pd.read_csv("mine/few_shot.csv", keep_default_na=False)
    assert set(few["trained_on"]) == {"grey"}
    assert set(few["l2"].astype(str)) == {"1", ""}
    square = pd.read_csv("mine/square.csv", keep_default_na=False)
    assert {len(l2.split()) for l2, folds in zip(square["l2"], square["folds"], strict=True) if l2 and folds} == {3}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--few-shot-on", "raf-db"], "expected one of the test sets clean, grey, found 'raf-db'"),
        (["--shots", "0"], "--shots: Input should be greater than or equal to 1"),
        (["--shots", "two"], "--shots: Input should be a valid integer"),
        (["--folds", "1"], "--folds: Input should be greater than or equal to 2"),
        (["--few-shot-l2", "0"], "--few-shot-l2: Input should be greater than 0"),
    ],
)
def test_what_cannot_be_done_is_refused(project, arguments, words):
    result = run("probe", *arguments)
    assert result.exit_code == 1
    assert words in " ".join(result.output.split())
    assert not Path("probes").exists()


def test_before_there_are_scores_it_says_what_to_run(project):
    shutil.rmtree("results/scores")
    result = run("probe")
    assert result.exit_code == 1
    assert "dvc repro scores" in " ".join(result.output.split())


def test_without_scikit_learn_it_says_what_to_install(project, monkeypatch):
    hide_module(monkeypatch, "sklearn")
    result = run("probe")
    assert result.exit_code == 1
    assert "pip install 'expclip-cache[maps]', or 'expclip-cache[probes]'" in result.output
