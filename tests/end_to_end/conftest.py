"""A fresh clone of the working tree with smaller demo sets, reproduced once."""

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
    (r"kind: clips", "kind: clips"),
    (r"demo-clips: {count: \d+", "demo-clips: {count: 21"),
    (r"epochs: \d+", "epochs: 2"),
    (r"batch_size: \d+\n  seeds: .*", "batch_size: 100\n  seeds: [1, 2]"),
]


class House:
    """A checkout to run commands in."""

    def __init__(self, folder: Path):
        self.folder = folder

    def run(self, *command: str, ok: bool = True, **environment: str) -> subprocess.CompletedProcess:
        """Run a command with this Python first on the path and the network's model hub out of reach."""
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
        """`dvc repro`; returns what it printed."""
        return self.run("dvc", "repro", *options).stdout

    def edit(self, old: str, new: str) -> None:
        """Replace a regular expression in params.yaml."""
        path = self.folder / "params.yaml"
        text, count = re.subn(old, new, path.read_text())
        assert count, f"{old} is not in params.yaml"
        path.write_text(text)

    def results(self) -> dict[str, bytes]:
        """Every result file by its path; of the page what comes before the times, which are no result."""
        files = [path for name in ("results", "report") for path in (self.folder / name).rglob("*") if path.is_file()]
        found = {path.relative_to(self.folder).as_posix(): path.read_bytes() for path in files}
        page, times, _ = found["report/index.html"].partition(b"<h3>Times</h3>")
        assert times
        return found | {"report/index.html": page}


def stages_run(output: str) -> set[str]:
    """The stages that DVC ran, by name."""
    return set(re.findall(r"Running stage '([^']+)'", output))


def tracked_files() -> list[str]:
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout
    return [os.fsdecode(name) for name in listed.split(b"\0") if name]


@pytest.fixture(scope="session")
def clone(tmp_path_factory) -> House:
    """The working tree as a fresh clone, with smaller sets in params.yaml."""
    if not (ROOT / ".git").exists():
        pytest.skip("needs a git checkout: DVC works in one")
    folder = tmp_path_factory.mktemp("house")
    for name in tracked_files():
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    house = House(folder)
    for old, new in SMALLER:
        house.edit(old, new)
    house.run("git", "init", "-q")
    house.run("git", "add", "-A")
    house.run("git", "-c", "user.name=test", "-c", "user.email=test@example.org", "commit", "-qm", "clone")
    return house


@pytest.fixture(scope="session")
def first_run(clone) -> str:
    """The output of the first `dvc repro` in the clone."""
    return clone.repro()
