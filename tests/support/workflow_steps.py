"""The steps of a GitHub workflow, run by bash as its file has them.

`uv` is a stand-in: `uv run [--with PACKAGE] PROGRAM ...` runs the program of the environment that the tests run in, so
that no test installs anything. What the actions do (checking out, installing uv, keeping files) is left out.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

from ruamel.yaml import YAML

WORKFLOWS = Path(__file__).parents[2] / ".github/workflows"
UV = """#!/bin/sh
test "$1" = run || exit 64
shift
test "$1" = --with && shift 2
exec "$@"
"""


def read_workflow(name: str) -> dict[str, Any]:
    return YAML(typ="safe").load((WORKFLOWS / f"{name}.yaml").read_text())


def steps_of(workflow: str, job: str) -> dict[str, str]:
    """Name -> commands of each step of a job that runs commands, in order."""
    return {step["name"]: step["run"] for step in read_workflow(workflow)["jobs"][job]["steps"] if "run" in step}


def constants_of(workflow: str, job: str) -> dict[str, str]:
    """The environment of a job, without what GitHub fills in."""
    given: Mapping[str, str] = read_workflow(workflow)["jobs"][job].get("env", {})
    return {name: value for name, value in given.items() if "${{" not in value}


def stand_in_for_uv(folder: Path) -> Path:
    """A folder with the stand-in, to put on the path."""
    folder.mkdir(exist_ok=True)
    (folder / "uv").write_text(UV)
    (folder / "uv").chmod(0o755)
    return folder


def run_steps(
    steps: Mapping[str, str], run: Callable[..., CompletedProcess[str]]
) -> Iterator[tuple[str, CompletedProcess[str]]]:
    """Run the steps in order, as a runner does: each in a shell of its own, none after one that fails.

    Args:
        steps: name -> commands.
        run: runs a command in the checkout, whatever its exit code.
    """
    for name, commands in steps.items():
        done = run("bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", commands)
        yield name, done
        if done.returncode:
            return
