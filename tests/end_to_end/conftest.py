"""A fresh clone of the working tree with smaller demo sets, and one `dvc repro` in it, shared by all tests.

Programs run through `PreparedPython`, unless a test says that it needs them as they are, because it kills one, edits
the code, or takes files of the package away.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from prepared_python import PreparedPython

ROOT = Path(__file__).parents[2]
SMALLER = [
    ("count: 10000", "count: 600"),
    (r"count: 1400", "count: 84"),
    (r"count: 420", "count: 21"),
    (r"epochs: \d+", "epochs: 2"),
    (r"batch_size: \d+\n    seeds:(\n    - \d)+", "batch_size: 100\n    seeds: [1, 2]"),
    (r"batch_size: \d+ +# held-out", "batch_size: 20 # held-out"),
]
COMMIT = ("git", "-c", "user.name=test", "-c", "user.email=test@example.org", "commit", "-qm")


class Checkout:
    """A git checkout to run commands in.

    Attributes:
        programs: folder with the `python`, `dvc` and `expclip-cache` to use; None: those of this environment.
    """

    def __init__(self, folder: Path, programs: Path | None = None):
        self.folder, self.programs = folder, programs

    def run(self, *command: str, ok: bool = True, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a command with the checkout's programs first on the path, without access to the model hub.

        Args:
            ok: whether to require exit code 0.
        """
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment(**environment), capture_output=True, text=True, check=False
        )
        if ok:
            assert done.returncode == 0, done.stdout + done.stderr
        return done

    def environment(self, **more: str) -> dict[str, str]:
        own = Path(sys.executable).parent
        path = os.pathsep.join(map(str, filter(None, (self.programs, own, os.environ["PATH"]))))
        return {**os.environ, "PATH": path, "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(self.folder / "pipeline"), **more}

    @property
    def as_installed(self) -> "Checkout":
        """The same folder, with the programs of this environment as they are."""
        return Checkout(self.folder)

    def repro(self, *options: str) -> str:
        """Run `dvc repro`; returns its standard output."""
        return self.run("dvc", "repro", *options).stdout

    def edit(self, old: str, new: str) -> None:
        """Replace a regular expression in params.yaml."""
        path = self.folder / "params.yaml"
        text, count = re.subn(old, new, path.read_text())
        assert count, f"{old} is not in params.yaml"
        path.write_text(text)

    def results(self) -> dict[str, bytes]:
        """The content of every result file by path; how long the stages took is none."""
        files = [path for name in ("results", "report") for path in (self.folder / name).rglob("*") if path.is_file()]
        found = {path.relative_to(self.folder).as_posix(): path.read_bytes() for path in files}
        found.pop("report/times.html", None)
        return found


def work_of(checkout: Checkout, stage: str) -> dict[str, int]:
    """What the last run of a stage did: title of each progress bar -> number of images, prompts or steps."""
    recorded = json.loads((checkout.folder / "times" / f"{stage}.json").read_text())
    return {bar["title"]: bar["count"] for bar in recorded["bars"]}


def stages_run(output: str) -> set[str]:
    """Names of the stages that `dvc repro` ran."""
    return set(re.findall(r"Running stage '([^']+)'", output))


def tracked_files() -> list[str]:
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout
    return [os.fsdecode(name) for name in listed.split(b"\0") if name]


@pytest.fixture(scope="session")
def prepared():
    """Programs that start without their imports; their package is the working tree's."""
    with tempfile.TemporaryDirectory(prefix="prepared-") as folder:
        programs = PreparedPython(Path(folder), ROOT / "pipeline")
        yield programs
        programs.close()


def code_checkout(folder: Path, programs: Path) -> Checkout:
    """The working tree's files without tests, benchmarks and docs, not committed yet."""
    for name in tracked_files():
        if (ROOT / name).is_file() and not name.startswith(("tests/", "benchmarks/", "docs/")):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    return Checkout(folder, programs)


@pytest.fixture(scope="session")
def clone(tmp_path_factory, prepared) -> Checkout:
    """The working tree as a fresh clone, with smaller sets in params.yaml."""
    if not (ROOT / ".git").exists():
        pytest.skip("needs a git checkout, because DVC does")
    folder = tmp_path_factory.mktemp("clone")
    for name in tracked_files():
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    checkout = Checkout(folder, prepared.folder)
    for old, new in SMALLER:
        checkout.edit(old, new)
    checkout.run("git", "init", "-q")
    checkout.run("git", "add", "-A")
    checkout.run(*COMMIT, "clone")
    return checkout


def recorded_clone(clone: Checkout, folder: Path) -> Checkout:
    """A fresh clone that has the settings and the results of `clone` in its commit, and nothing else that was made."""
    clone.run("git", "clone", "-q", str(clone.folder), str(folder))
    checkout = Checkout(folder, clone.programs)
    for name in ("results", "report"):
        shutil.rmtree(folder / name, ignore_errors=True)
        shutil.copytree(clone.folder / name, folder / name)
    for name in ("dvc.lock", "params.yaml"):
        shutil.copy2(clone.folder / name, folder / name)
    checkout.run("git", "add", "-A")
    checkout.run(*COMMIT, "recorded results")
    checkout.run("git", "clean", "-qfdx")
    return checkout


@pytest.fixture(scope="session")
def first_run_of_clone(clone) -> subprocess.CompletedProcess[str]:
    """The first `dvc repro` in the clone."""
    return clone.run("dvc", "repro")


@pytest.fixture(scope="session")
def first_run(first_run_of_clone) -> str:
    """What the first `dvc repro` printed on standard output."""
    return first_run_of_clone.stdout


@pytest.fixture(scope="session")
def first_run_messages(first_run_of_clone) -> str:
    """Everything that the first `dvc repro` printed."""
    return first_run_of_clone.stdout + first_run_of_clone.stderr
