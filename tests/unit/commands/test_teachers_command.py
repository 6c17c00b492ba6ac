"""`expclip-cache teachers` on a study: its files and tables, the section of the report's page, and refusals."""

import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
from ruamel.yaml import YAML
from typer.testing import CliRunner

from expclip_cache.commands.app import app
from teacher_study import teacher_study, write_teacher_study

SECTION = '<section id="teachers">'


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    settings = teacher_study(backbones=("b32", "b16"))
    write_teacher_study(folder, settings)
    YAML().dump(settings.model_dump(mode="json", exclude_unset=True), folder / "params.yaml")
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


def section_of(html: str) -> str:
    return html[html.index(SECTION) : html.index('<section id="inputs">')]


def test_the_page_has_a_section_once_there_are_results_of_its_features(project):
    assert SECTION not in page()
    result = run("teachers")
    assert result.exit_code == 0, result.output
    assert all(len(line) <= 80 for line in result.stdout.splitlines())
    assert "`expclip-cache report` shows them" in result.output
    html = page()
    assert '<a href="#teachers">' in html
    section = section_of(html)
    teachers = pd.read_csv("teachers/teachers.csv", keep_default_na=False)
    assert len(teachers) == 2 * 6
    for row in teachers.itertuples():
        state = f" {row.read}@{row.layer:g}" if row.teacher == "vlm" else ""
        assert f"{row.teacher}{state}: {row.uar:.1f}, interval {row.uar_low:.1f} to {row.uar_high:.1f}" in section
        cells = "".join(f"<td>{getattr(row, key):.1f}</td>" for key in ("agreement", "balance", "mrr", "r2"))
        assert cells in section
    for row in pd.read_csv("teachers/test_sets.csv", keep_default_na=False).itertuples():
        assert f'<td>{row.uar:.1f}<span class="unit">[{row.uar_low:.1f}, {row.uar_high:.1f}]</span></td>' in section
    assert section.count("chosen by agreement</span>") == 2
    assert section.count('class="ring"') == 2
    assert "One word, please." in section
    assert "no instruction" in section


def test_the_chosen_row_and_the_correlations_are_those_of_the_file(project):
    output = run("teachers").output
    teachers = pd.read_csv("teachers/teachers.csv", keep_default_na=False)
    html = page()
    for backbone in ("b32", "b16"):
        own = teachers[teachers["backbone"] == backbone].reset_index()
        best = own.loc[own["agreement"].idxmax()]
        name = f"vlm {best['read']}@{best['layer']:g}" if best["teacher"] == "vlm" else best["teacher"]
        table = output[output.index(f"without labels, backbone {backbone}") :]
        assert re.search(rf"{re.escape(name)} \*", table[: table.index("correlation")])
        assert f"agreement chooses <strong>{name}</strong>, UAR {best['uar']:.1f}" in html
        correlations = [
            f"{own[key].corr(own['uar'], method='spearman'):+.2f}"
            for key in ("agreement", "balance", "mrr", "r2", "constant", "rank")
        ]
        line = next(line for line in table.splitlines() if line.strip().startswith("correlation"))
        assert line.split()[1:] == correlations
        assert "".join(f"<td>{one}</td>" for one in correlations) in html


def test_results_of_other_features_are_not_on_the_page(project):
    assert run("teachers").exit_code == 0
    for file in ("teachers.csv", "test_sets.csv"):
        path = Path("teachers") / file
        path.write_text(re.sub(r"[0-9a-f]{16}$", "0123456789abcdef", path.read_text(), flags=re.M))
    section = section_of(page())
    assert "teachers has results of other features, prompts, settings or code" in section
    assert "<svg" not in section
    assert "run `expclip-cache teachers` again" in " ".join(run("report").output.split())
    assert run("teachers").exit_code == 0
    assert "<svg" in section_of(page())


def test_one_backbone_elsewhere(project):
    result = run("teachers", "--backbone", "b16", "--out", "mine")
    assert result.exit_code == 0, result.output
    assert not Path("teachers").exists()
    assert "shows them" not in result.output
    assert set(pd.read_csv("mine/teachers.csv")["backbone"]) == {"b16"}


def test_without_several_prompts_of_a_class_no_row_is_chosen(project):
    tree = YAML().load(Path("params.yaml"))
    tree["prompts"]["reference"]["types"] = [2]
    YAML().dump(tree, Path("params.yaml"))
    output = " ".join(run("teachers").output.split())
    assert "agreement needs several prompts of each class" in output
    assert "*:" not in output
    assert set(pd.read_csv("teachers/teachers.csv")["agreement"].isna()) == {True}


def test_what_is_missing_is_named(project):
    result = run("teachers", "--backbone", "l14")
    assert result.exit_code == 1
    assert "'l14', which is not in backbones: b32, b16" in " ".join(result.output.split())
    shutil.rmtree("features/targets/ignores")
    result = run("teachers")
    assert result.exit_code == 1
    assert "features/targets/ignores/demo-train" in " ".join(result.output.split())
    assert not Path("teachers").exists()


def test_before_there_are_scores_it_says_what_to_run(project):
    shutil.rmtree("results/scores")
    result = run("teachers")
    assert result.exit_code == 1
    assert "dvc repro scores" in " ".join(result.output.split())
