"""docs/experiments.md, command by command, on two small test sets."""

import json
import re
import shutil
import time
from pathlib import Path

import pytest
from end_to_end.conftest import ROOT, House

pytestmark = pytest.mark.slow
COMMIT = ("git", "-c", "user.name=test", "-c", "user.email=test@example.org", "commit", "-qm")


def documented() -> list[str]:
    """The commands of the page, without `uv run`: the tests run in its environment already."""
    blocks = re.findall(r"^```console\n(.*?)^```", (ROOT / "docs/experiments.md").read_text(), flags=re.M | re.S)
    return [line.removeprefix("uv run ") for line in "".join(blocks).splitlines()]


def perform(house: House, command: str) -> str:
    done = house.run("bash", "-c", command)
    return done.stdout + done.stderr


def lab(clone: House, folder: Path) -> House:
    """A checkout with the clone's features, where two test sets are scored and committed."""
    clone.run("git", "clone", "-q", str(clone.folder), str(folder))
    house = House(folder)
    for name in ("dvc.lock", "params.yaml"):
        shutil.copy2(clone.folder / name, folder / name)
    house.run("dvc", "config", "--local", "cache.dir", str(clone.folder / ".dvc/cache"))
    house.run("git", "config", "user.name", "test")
    house.run("git", "config", "user.email", "test@example.org")
    house.edit(r"datasets: \[demo-clean.*\]", "datasets: [demo-clean, demo-clips]")
    house.run("dvc", "checkout")
    house.repro()
    house.run("git", "add", "-A")
    house.run(*COMMIT, "base")
    return house


def walk_through(house: House) -> None:
    """Every command of the page in its order, and what each is documented to show."""
    shown = {}
    for command in documented():
        shown[command] = perform(house, command)
        deadline = time.monotonic() + 900
        while command.startswith("dvc queue start") and re.search(
            r"Queued|Running", perform(house, "dvc queue status")
        ):
            assert time.monotonic() < deadline
            time.sleep(2)
    (difference,) = [text for command, text in shown.items() if command.startswith("dvc metrics diff")]
    for name in ("mean.gain", "mean.std", "mean.uar", "uar.demo-clean", "uar.demo-clips", "final_loss"):
        assert name in difference
    (queue,) = [text for command, text in shown.items() if command.startswith("dvc queue status")]
    assert queue.count("Success") == 2
    (table,) = [text for command, text in shown.items() if command.startswith("dvc exp show")]
    for word in ("bolder", "mean.uar", "train.lr", "0.005", "0.05", "0.02"):
        assert word in table
    assert "results/score" not in table
    assert "0.02" in (house.folder / "params.yaml").read_text()
    metrics = json.loads((house.folder / "report/metrics.json").read_text())
    assert list(metrics["uar"]) == ["demo-clean", "demo-clips"]
    assert (house.folder / "report/index.html").is_file()


def test_the_documented_experiments(clone, first_run, tmp_path):
    walk_through(lab(clone, tmp_path / "lab"))
