"""The commands of docs/experiments.md, run in order on two small test sets."""

import json
import re
import shutil
from pathlib import Path

import pytest
from end_to_end.conftest import COMMIT, ROOT, Checkout, stages_run

pytestmark = pytest.mark.slow


def documented() -> list[str]:
    """The commands of the page without `uv run`, because the tests already run in its environment."""
    blocks = re.findall(r"^```console\n(.*?)^```", (ROOT / "docs/experiments.md").read_text(), flags=re.M | re.S)
    return "".join(blocks).replace("uv run ", "").splitlines()


def shell(checkout: Checkout, command: str) -> str:
    """Run a line of the page; returns everything it printed."""
    done = checkout.run("bash", "-c", command)
    return done.stdout + done.stderr


def experiment_checkout(clone: Checkout, folder: Path) -> Checkout:
    """A checkout that shares the clone's features, with the results of two test sets committed."""
    clone.run("git", "clone", "-q", str(clone.folder), str(folder))
    checkout = Checkout(folder, clone.programs)
    for name in ("dvc.lock", "params.yaml"):
        shutil.copy2(clone.folder / name, folder / name)
    checkout.run("dvc", "config", "--local", "cache.dir", str(clone.folder / ".dvc/cache"))
    checkout.run("git", "config", "user.name", "test")
    checkout.run("git", "config", "user.email", "test@example.org")
    checkout.edit(r"(?s)  datasets:\n  - demo-clean\n.*", "  datasets: [demo-clean, demo-clips]\n")
    checkout.run("dvc", "checkout")
    checkout.repro()
    checkout.run("git", "add", "-A")
    checkout.run(*COMMIT, "base")
    return checkout


def check_commands(checkout: Checkout) -> None:
    """Run every command of the page in order and check that it shows what the page says."""
    ridge = checkout.folder / "heads/demo-clip/demo-llm/ridge/closed-form.safetensors"
    fitted, shown = ridge.stat().st_mtime_ns, []
    for command in documented():
        shown.append((command, shell(checkout, command)))
        if command.startswith("dvc exp run"):
            assert stages_run(shown[-1][1]) == {"heads", "scores", "intervals", "report"}
            if "contrastive" in command:
                assert ridge.stat().st_mtime_ns == fitted
    difference, of_ridge = [text for command, text in shown if command.startswith("dvc metrics diff")]
    head = "demo-clip.demo-llm.contrastive"
    # Of sets as small as these, one may keep its score.
    numbers = ("uar", "gain", "std", "test_sets.demo-")
    for name in (*(f"{head}.reference.{number}" for number in numbers), f"{head}.final_loss"):
        assert name in difference
    assert "ridge" not in difference, "the closed-form head does not depend on the learning rate"
    for name in ("ridge.lambda", "ridge.held_out_loss", "ridge.reference.uar"):
        assert f"demo-clip.demo-llm.{name}" in of_ridge
    assert "contrastive" not in of_ridge, "its line is that of the last commit again"
    (table,) = [text for command, text in shown if command.startswith("dvc exp show")]
    for word in (
        "bolder",
        "timid",
        "timidest",
        f"{head}.reference.uar",
        "heads.contrastive.lr",
        "0.05",
        "0.01",
        "0.003",
    ):
        assert word in table
    assert "results/scores" not in table
    assert "    lr: 0.05\n" in (checkout.folder / "params.yaml").read_text()
    metrics = json.loads((checkout.folder / "report/metrics.json").read_text())
    found = metrics["demo-clip"]["demo-llm"]["contrastive"]["reference"]
    assert list(found["test_sets"]) == ["demo-clean", "demo-clips"]
    assert (checkout.folder / "report/index.html").is_file()


def test_the_documented_experiments(clone, first_run, tmp_path):
    check_commands(experiment_checkout(clone, tmp_path / "experiments"))
