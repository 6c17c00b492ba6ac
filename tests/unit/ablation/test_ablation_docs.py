"""docs/ablations.md: its Python reads the tables, its columns are theirs, its commands give what it says."""

import re
import shlex
from dataclasses import fields
from pathlib import Path

import pytest
from typer.testing import CliRunner

from expclip_cache.ablation import AXES
from expclip_cache.ablation.tables import AxisRow, CellRow
from expclip_cache.commands.app import app
from tiny_ablation import TREE, study, write_params, write_project

PAGE = (Path(__file__).parents[3] / "docs/ablations.md").read_text()
PYTHON = re.findall(r"^```python\n(.*?)^```", PAGE, flags=re.M | re.S)
CONSOLE = re.findall(r"^uv run expclip-cache (ablate.*)$", PAGE, flags=re.M)


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project whose names are those of the page."""
    monkeypatch.chdir(tmp_path)
    write_params(TREE)
    write_project(study())


def test_every_axis_and_every_column_is_explained():
    assert re.findall(r"^\| `([\w-]+)` \|", PAGE.partition("What comes out")[0], flags=re.M) == list(AXES)
    table = PAGE.partition("| column | what it is |")[2].partition("\n\n")[0]
    columns = re.findall(r"`(\w+)`", "".join(line.split("|")[1] for line in table.splitlines() if "|" in line))
    assert sorted(columns) == sorted(field.name for field in fields(CellRow))
    named = re.findall(r"`(\w+)`", PAGE.partition("`ablations/axes.csv`")[2].partition("`ablations/ablation.csv`")[0])
    assert set(named) <= {field.name for field in fields(AxisRow)}


def test_the_python_runs_on_the_tables_of_a_run(project, capsys):
    done = CliRunner().invoke(app, ["ablate", "--full", "--axes", "head,faces", "--faces", "60,all", "--draws", "2"])
    assert done.exit_code == 0, done.output
    names: dict[str, object] = {}
    for block in PYTHON:
        exec(block, names)
    shown = capsys.readouterr().out
    curve = names["curve"]
    assert curve.index.tolist() == [("t5", "ridge", 60), ("t5", "ridge", 117), ("t5", "sgd", 60), ("t5", "sgd", 117)]
    assert curve["count"].tolist() == [2, 1, 2, 2]
    assert shown.count("Name: uar") == 4


def test_the_commands_run(project):
    """With numbers of faces that this project has, and heads by its names."""
    for line in CONSOLE:
        words = [re.sub(r"\d{3,}", lambda number: str(30 + int(number[0]) // 100), word) for word in shlex.split(line)]
        done = CliRunner().invoke(app, [re.sub(r"--draws \d+", "--draws 2", word) for word in words])
        assert done.exit_code == 0, done.output
    assert Path("ablations/full/index.html").exists()
