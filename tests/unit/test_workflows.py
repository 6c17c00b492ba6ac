"""The workflows: the steps of tests.yaml as its file has them, and that everything they install is pinned."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from workflow_steps import WORKFLOWS, read_workflow, run_steps, stand_in_for_uv, steps_of

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
FILES = sorted(WORKFLOWS.glob("*.yaml"))


@pytest.fixture(scope="module")
def clone(tmp_path_factory) -> Path:
    """The files of the working tree that Git has or would add, as a checkout."""
    folder = tmp_path_factory.mktemp("fresh") / "clone"
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip("needs a git checkout")
    for name in filter(None, done.stdout.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    return folder


def outcome(clone: Path, job: str, **environment: str) -> dict[str, tuple[int, str]]:
    """Run a job of tests.yaml; name of each step that ran -> exit code and what it printed."""
    tools = stand_in_for_uv(clone.with_name("tools"))
    path = os.pathsep.join(map(str, (tools, Path(sys.executable).parent, os.environ["PATH"])))
    python_path = os.pathsep.join([str(clone / "pipeline"), str(clone)])
    environment = {**os.environ, "PATH": path, "PYTHONPATH": python_path, **environment}

    def run(*command: str):
        return subprocess.run(command, cwd=clone, env=environment, capture_output=True, text=True, check=False)

    return {name: (done.returncode, done.stdout + done.stderr) for name, done in run_steps(steps_of("tests", job), run)}


@pytest.mark.slow
def test_style_types_and_layers_are_right(clone):
    found = outcome(clone, "style")
    assert list(found) == ["Format", "Lint", "Types", "Layers"]
    assert not [text for code, text in found.values() if code]


def test_a_step_that_finds_a_fault_ends_the_job(clone):
    fault = clone / "stages/fault.py"
    fault.write_text('"""A stage."""\n\nimport os\n')
    found = outcome(clone, "style")
    fault.unlink()
    assert list(found) == ["Format", "Lint"]
    assert found["Lint"][0] == 1
    assert "stages/fault.py:3:8" in found["Lint"][1]


@pytest.mark.slow
def test_the_test_step_is_the_command_of_the_readme_and_fails_if_a_test_does(clone):
    """The whole suite would run itself: an environment variable selects one file."""
    assert steps_of("tests", "tests") == {"Test": "uv run pytest"}
    assert "pip install uv && uv run pytest " in (ROOT / "README.md").read_text()
    (clone / "tests/unit/test_fault.py").write_text("def test_fault():\n    assert 1 == 2\n")
    for file, code, words in (("base/test_printable.py", 0, " passed"), ("test_fault.py", 1, "1 failed")):
        found = outcome(clone, "tests", PYTEST_ADDOPTS=f"-n0 -p no:cacheprovider tests/unit/{file}")
        assert found["Test"][0] == code
        assert words in found["Test"][1]
    (clone / "tests/unit/test_fault.py").unlink()


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_actions_are_pinned_to_commits_and_python_and_uv_to_versions(file):
    text = file.read_text()
    uses = re.findall(r"uses: (.*)", text)
    assert uses
    assert not [line for line in uses if not re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line)]
    uv = [step["with"] for job in jobs(file) for step in job["steps"] if "setup-uv" in step.get("uses", "")]
    assert len(uv) == len(jobs(file))
    assert {given["version"] for given in uv} == {"0.13.9"}
    pythons = [given["python-version"] for given in uv if "matrix" not in given["python-version"]]
    pythons += [
        version for job in jobs(file) for version in job.get("strategy", {}).get("matrix", {}).get("python", [])
    ]
    assert pythons
    assert all(re.fullmatch(r"3\.\d+\.\d+", version) for version in pythons)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_job_can_only_read_and_its_secrets_are_not_needed_for_pull_requests(file):
    workflow = read_workflow(file.stem)
    assert workflow["permissions"] == {"contents": "read"}
    assert "${{ secrets." not in file.read_text() or "pull_request" not in workflow["on"]


def jobs(file: Path) -> list[dict]:
    return list(read_workflow(file.stem)["jobs"].values())


def names(requirements: list[str]) -> list[str]:
    return [canonicalize_name(Requirement(text).name) for text in requirements]


def test_every_direct_dependency_is_pinned_to_the_version_it_was_tested_with():
    project, uv = PROJECT["project"], PROJECT["tool"]["uv"]
    groups = [
        project["dependencies"],
        *project["optional-dependencies"].values(),
        *PROJECT["dependency-groups"].values(),
    ]
    direct = {name for group in groups for name in names(group)}
    for pins, wanted in (
        (uv["constraint-dependencies"], direct),
        (uv["build-constraint-dependencies"], set(names(PROJECT["build-system"]["requires"]))),
    ):
        assert names(pins) == sorted(wanted)
        assert not [pin for pin in pins if not re.fullmatch(r"[\w.-]+==[\w.]+", pin)]
