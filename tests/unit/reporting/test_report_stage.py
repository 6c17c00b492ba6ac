"""The report stage: its files, and the table that ends what it prints."""

import json
import shutil

import pytest
from ruamel.yaml import YAML
from typer.testing import CliRunner

from expclip_cache.base.stage_times import recorded_time
from expclip_cache.commands.app import app
from expclip_cache.reporting.text_table import WIDTH
from sample_results import study, write_results
from stages import report


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """The results of a small study in the current folder, with its params.yaml."""
    monkeypatch.chdir(tmp_path)
    settings = study(test_sets=("demo-clean", "demo-clips"), seeds=2)
    write_results(tmp_path, settings, items=70)
    tree = settings.model_dump(mode="json", exclude_unset=True)
    YAML(typ="safe").dump(tree, tmp_path / "params.yaml")
    return tmp_path


def test_it_writes_its_files_and_prints_the_table_last(workplace, capsys):
    stale = workplace / "report/confusion/demo-gone/clip.csv"
    stale.parent.mkdir(parents=True)
    stale.write_text("actual,predicted\n")
    (workplace / "report/.gitignore").write_text("/index.html\n")
    report.main()
    files = {path.relative_to(workplace / "report").as_posix() for path in (workplace / "report").rglob("*.*")}
    confusion = {
        f"confusion/{name}/{kind}.csv" for name in ("demo-clean", "demo-clips") for kind in ("clip", "expclip")
    }
    assert files == confusion | {
        ".gitignore",
        *("index.html", "times.html", "metrics.json", "systems.csv", "uar.csv", "comparison.csv"),
    }
    metrics = json.loads((workplace / "report/metrics.json").read_text())
    assert set(metrics["demo-clip"]["demo-llm"]) == {"contrastive", "ridge"}
    *table, last = capsys.readouterr().out.splitlines()
    assert table[0].startswith("Zero-shot facial expression recognition, UAR in percent")
    assert last.startswith("report/index.html has")
    assert max(map(len, [*table, last])) <= WIDTH


def test_a_second_run_writes_the_same_bytes_whatever_the_stages_took(workplace):
    def content() -> dict[str, bytes]:
        return {
            str(path.relative_to(workplace / "report")): path.read_bytes()
            for path in (workplace / "report").rglob("*.*")
        }

    report.main()
    before = content()
    with recorded_time("images"):
        pass
    report.main()
    after = content()
    assert b"No earlier stage" in before.pop("times.html")
    assert b"images" in after.pop("times.html")
    assert after == before


def test_images_that_are_not_on_this_machine_are_named_by_their_paths(workplace):
    report.main()
    page = (workplace / "report/index.html").read_text()
    assert "<img" not in page
    assert 'class="missing"' in page


def test_the_command_shows_the_same_tables(workplace, capsys):
    report.main()
    expected = capsys.readouterr().out
    result = CliRunner().invoke(app, ["report"])
    assert (result.exit_code, result.output) == (0, expected)


def test_without_results_the_command_says_how_to_get_them(workplace):
    shutil.rmtree(workplace / "results")
    result = CliRunner().invoke(app, ["report"])
    assert result.exit_code == 1
    assert "the scores cannot be read (No such file or directory). Run `dvc repro scores`." in result.output
