"""The results that the repository carries: the report is made from the scores, and the README shows its table."""

import re
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from expclip_cache.commands.app import app

ROOT = Path(__file__).parents[3]


@pytest.fixture
def recorded(tmp_path, monkeypatch) -> Path:
    """The settings and results of the newest commit; the current folder has the settings and the scores."""
    if not (ROOT / ".git").exists():
        pytest.skip("needs a git checkout: here results/ may be those of another run")
    archive = tmp_path / "recorded.tar"
    command = ["git", "archive", "-o", str(archive), "HEAD", "params.yaml", "README.md", "results", "report"]
    subprocess.run(command, cwd=ROOT, check=True)
    subprocess.run(["tar", "-xf", archive], cwd=tmp_path, check=True)
    (tmp_path / "report").rename(tmp_path / "recorded")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_the_recorded_report_and_the_table_of_the_readme_are_made_from_the_recorded_scores(recorded):
    done = CliRunner().invoke(app, ["report"])
    assert done.exit_code == 0, done.output
    files = [path.relative_to("report") for path in Path("report").rglob("*") if path.suffix in (".csv", ".json")]
    assert len(files) > 4
    assert {file: Path("report", file).read_text() for file in files} == {
        file: Path("recorded", file).read_text() for file in files
    }
    table = re.search(r"```text\n(Zero-shot .*?)```", Path("README.md").read_text(), flags=re.DOTALL)[1]
    assert "\n".join(line.rstrip() for line in done.output.splitlines()).startswith(table)
