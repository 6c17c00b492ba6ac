"""The steps of .github/workflows/benchmark.yaml, run in a clone that has nothing but a DVC remote."""

import csv
import os
import re
import shutil

import pytest
from end_to_end.conftest import COMMIT, ROOT, Checkout, stages_run
from ruamel.yaml import YAML

pytestmark = pytest.mark.slow
WORKFLOW = YAML(typ="safe").load((ROOT / ".github/workflows/benchmark.yaml").read_text())
STEPS = {step["name"]: step["run"] for step in WORKFLOW["jobs"]["rerun"]["steps"] if "run" in step}


@pytest.fixture(scope="module")
def elsewhere(clone, first_run, tmp_path_factory):
    """A clone with recorded results and a remote with features, but without images, encoder weights or a DVC cache."""
    base = tmp_path_factory.mktemp("elsewhere")
    clone.run("dvc", "remote", "add", "--local", "-f", "store", str(base / "store"))
    clone.run("dvc", "push", "-r", "store", "images", "targets", "prompts")
    clone.run("git", "clone", "-q", str(clone.folder), str(base / "checkout"))
    # The programs as they are: the package of this checkout has no encoder weights.
    checkout = Checkout(base / "checkout")
    for name in ("results", "report"):
        shutil.copytree(clone.folder / name, checkout.folder / name)
    for name in ("dvc.lock", "params.yaml"):
        shutil.copy2(clone.folder / name, checkout.folder / name)
    checkout.run("dvc", "remote", "add", "-d", "store", str(base / "store"))
    checkout.run("git", "add", "-A")
    checkout.run(*COMMIT, "recorded results")
    for name in ("clip", "blip2"):
        shutil.rmtree(checkout.folder / "pipeline/expclip_cache/demo" / name)
    # The first clone, with its images and its DVC cache, is out of reach while the tests use the second.
    hidden = clone.folder.with_name("hidden")
    clone.folder.rename(hidden)
    yield checkout
    hidden.rename(clone.folder)


def run_step(checkout: Checkout, step: str, ok: bool = True, **environment: str):
    """Run one step of the workflow; `uv run` stands for the environment that the tests run in."""
    tools = checkout.folder.with_name("tools")
    tools.mkdir(exist_ok=True)
    # `--with PACKAGE` installs what the remote of the real workflow needs.
    (tools / "uv").write_text('#!/bin/sh\nshift\ntest "$1" = --with && shift 2\nexec "$@"\n')
    (tools / "uv").chmod(0o755)
    path = f"{tools}{os.pathsep}{checkout.environment()['PATH']}"
    return checkout.run("bash", "-eo", "pipefail", "-c", STEPS[step], ok=ok, PATH=path, **environment)


def test_the_workflow_reproduces_the_recorded_results(elsewhere):
    assert not (elsewhere.folder / "data").exists()
    assert not (elsewhere.folder / "features").exists()
    run_step(elsewhere, "Fetch the features")
    assert not (elsewhere.folder / "data").exists()
    done = run_step(elsewhere, "Fit, score and report again", CUDA_VISIBLE_DEVICES="")
    assert stages_run(done.stdout) == {"heads", "scores", "report"}
    assert "training 2 heads on cpu" in done.stderr
    assert [int(count) for count in re.findall(r"json: (\d+) confusion matrices", done.stdout + done.stderr)] == [8] * 5
    done = run_step(elsewhere, "Compare with the recorded result", TOLERANCE="0")
    assert "bit for bit" in done.stdout
    page = (elsewhere.folder / "report/index.html").read_text()
    assert '<div class="missing">' in page
    assert "<img" not in page


def test_a_result_that_differs_from_the_recorded_one_fails_the_workflow(elsewhere):
    path = elsewhere.folder / "results/scores.csv"
    recorded = path.read_text()
    rows = list(csv.DictReader(recorded.splitlines()))
    rows[1]["uar"] = f"{float(rows[1]['uar']) + 1:.3f}"
    with path.open("w", newline="") as file:
        table = csv.DictWriter(file, rows[0].keys(), lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
    shutil.rmtree(elsewhere.folder / "recorded")
    done = run_step(elsewhere, "Compare with the recorded result", ok=False, TOLERANCE="0.5")
    path.write_text(recorded)
    assert done.returncode == 1
    for word in ("results/scores.csv", "demo-clean", "contrastive", "uar"):
        assert word in done.stdout
    assert "Traceback" not in done.stderr


def test_nothing_is_fetched_or_run_when_nothing_changed(elsewhere):
    elsewhere.run("git", "checkout", "--", "pipeline/expclip_cache/demo", "dvc.lock", "results", "report")
    for name in ("features", "heads"):
        shutil.rmtree(elsewhere.folder / name)
    (elsewhere.folder / "report/index.html").unlink()
    for command in (["--dry", "--allow-missing"], ["--pull", "--allow-missing"]):
        assert not stages_run(elsewhere.repro(*command))
    assert not (elsewhere.folder / "features").exists()


def test_the_workflow_documents_the_push_it_needs():
    text = (ROOT / ".github/workflows/benchmark.yaml").read_text()
    assert "dvc push images targets prompts" in text
