"""A fresh clone of the working tree with smaller demo sets, and one `dvc repro` in it, shared by all tests."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SMALLER = [
    ("count: 10000", "count: 600"),
    (r"count: 1400", "count: 84"),
    (r"demo-clips: {count: \d+", "demo-clips: {count: 21"),
    (r"epochs: \d+", "epochs: 2"),
    (r"batch_size: \d+\n  seeds: .*", "batch_size: 100\n  seeds: [1, 2]"),
]
COMMIT = ("git", "-c", "user.name=test", "-c", "user.email=test@example.org", "commit", "-qm")


class Checkout:
    """A git checkout to run commands in."""

    def __init__(self, folder: Path):
        self.folder = folder

    def run(self, *command: str, ok: bool = True, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a command with this Python first on the path, without access to the model hub.

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
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        return {**os.environ, "PATH": path, "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(self.folder / "pipeline"), **more}

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
        """The content of every result file, by path; of the page, everything before the run times at its end."""
        files = [path for name in ("results", "report") for path in (self.folder / name).rglob("*") if path.is_file()]
        found = {path.relative_to(self.folder).as_posix(): path.read_bytes() for path in files}
        page, times, _ = found["report/index.html"].partition(b"<h3>Times</h3>")
        assert times
        return found | {"report/index.html": page}


def stages_run(output: str) -> set[str]:
    """Names of the stages that `dvc repro` ran."""
    return set(re.findall(r"Running stage '([^']+)'", output))


def tracked_files() -> list[str]:
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout
    return [os.fsdecode(name) for name in listed.split(b"\0") if name]


@pytest.fixture(scope="session")
def clone(tmp_path_factory) -> Checkout:
    """The working tree as a fresh clone, with smaller sets in params.yaml."""
    if not (ROOT / ".git").exists():
        pytest.skip("needs a git checkout, because DVC does")
    folder = tmp_path_factory.mktemp("clone")
    for name in tracked_files():
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    checkout = Checkout(folder)
    for old, new in SMALLER:
        checkout.edit(old, new)
    checkout.run("git", "init", "-q")
    checkout.run("git", "add", "-A")
    checkout.run(*COMMIT, "clone")
    return checkout


@pytest.fixture(scope="session")
def first_run(clone) -> str:
    """Output of the first `dvc repro` in the clone."""
    return clone.repro()
