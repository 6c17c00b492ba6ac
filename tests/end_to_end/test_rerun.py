"""Rerun anywhere: the steps of .github/workflows/benchmark.yaml, in a clone that has nothing but a DVC remote."""

import json
import os
import shutil

import pytest
from end_to_end.conftest import ROOT, House, stages_run
from ruamel.yaml import YAML

pytestmark = pytest.mark.slow
WORKFLOW = YAML(typ="safe").load((ROOT / ".github/workflows/benchmark.yaml").read_text())
STEPS = {step["name"]: step["run"] for step in WORKFLOW["jobs"]["rerun"]["steps"] if "run" in step}
COMMIT = ("git", "-c", "user.name=test", "-c", "user.email=test@example.org", "commit", "-qm")


@pytest.fixture(scope="module")
def elsewhere(clone, first_run, tmp_path_factory):
    """A clone with recorded results and a remote with features: no pictures, no encoder weights, no DVC cache."""
    base = tmp_path_factory.mktemp("elsewhere")
    clone.run("dvc", "remote", "add", "--local", "-f", "store", str(base / "store"))
    clone.run("dvc", "push", "-r", "store", "encode-images", "encode-targets", "encode-prompts")
    clone.run("git", "clone", "-q", str(clone.folder), str(base / "checkout"))
    there = House(base / "checkout")
    for name in ("results", "report"):
        shutil.copytree(clone.folder / name, there.folder / name)
    for name in ("dvc.lock", "params.yaml"):
        shutil.copy2(clone.folder / name, there.folder / name)
    there.run("dvc", "remote", "add", "-d", "store", str(base / "store"))
    there.run("git", "add", "-A")
    there.run(*COMMIT, "recorded results")
    for name in ("clip", "blip2"):
        shutil.rmtree(there.folder / "pipeline/expclip_cache/demo" / name)
    # The first clone, its pictures and its DVC cache are out of reach while the second works.
    hidden = clone.folder.with_name("hidden")
    clone.folder.rename(hidden)
    yield there
    hidden.rename(clone.folder)


def perform(house: House, step: str, ok: bool = True, **environment: str):
    """Run one step of the workflow as its runner would; `uv run` means the environment the tests run in."""
    tools = house.folder.with_name("tools")
    tools.mkdir(exist_ok=True)
    # `--with PACKAGE` is for the remote of those who use the workflow.
    (tools / "uv").write_text('#!/bin/sh\nshift\ntest "$1" = --with && shift 2\nexec "$@"\n')
    (tools / "uv").chmod(0o755)
    path = f"{tools}{os.pathsep}{house.environment()['PATH']}"
    return house.run("bash", "-eo", "pipefail", "-c", STEPS[step], ok=ok, PATH=path, **environment)


def test_the_workflow_gives_the_recorded_result(elsewhere):
    assert not (elsewhere.folder / "data").exists()
    assert not (elsewhere.folder / "features").exists()
    perform(elsewhere, "Fetch the features")
    assert not (elsewhere.folder / "data").exists()
    for name in ("heads", "results", "report"):
        shutil.rmtree(elsewhere.folder / name, ignore_errors=True)
    output = perform(elsewhere, "Train, score and report again", CUDA_VISIBLE_DEVICES="").stdout
    assert {"train", "report", "score@demo-clean"} <= stages_run(output)
    assert not [stage for stage in stages_run(output) if stage.startswith(("encode", "manifest", "render"))]
    done = perform(elsewhere, "Compare with the recorded result", TOLERANCE="0")
    assert "bit for bit" in done.stdout
    page = (elsewhere.folder / "report/index.html").read_text()
    assert '<div class="absent">' in page
    assert "<img" not in page


def test_a_result_that_is_not_the_recorded_one_fails_the_workflow(elsewhere):
    path = elsewhere.folder / "report/summary.json"
    recorded = path.read_text()
    tree = json.loads(recorded)
    tree["demo-clean"]["prompt_type_2"]["expclip_uar"] += 1.0
    path.write_text(json.dumps(tree))
    shutil.rmtree(elsewhere.folder / "recorded")
    done = perform(elsewhere, "Compare with the recorded result", ok=False, TOLERANCE="0.5")
    path.write_text(recorded)
    assert done.returncode == 1
    assert "demo-clean.prompt_type_2.expclip_uar" in done.stdout
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
    assert "dvc push encode-images encode-targets encode-prompts" in text
