"""The steps of .github/workflows/licensed-benchmark.yaml, run in a clone that has nothing but a DVC remote."""

import re
import shutil

import pytest
from end_to_end.conftest import ROOT, recorded_clone, stages_run

from workflow_steps import constants_of, read_workflow, run_steps, stand_in_for_uv, steps_of

pytestmark = pytest.mark.slow
STEPS = steps_of("licensed-benchmark", "rerun")
FETCH, FIT, COMPARE = STEPS


@pytest.fixture(scope="module")
def elsewhere(clone, first_run, tmp_path_factory):
    """A clone with recorded results and a remote with features, but without images, encoder weights or a DVC cache."""
    base = tmp_path_factory.mktemp("elsewhere")
    clone.run("dvc", "remote", "add", "--local", "-f", "store", str(base / "store"))
    clone.run("dvc", "push", "-r", "store", "images", "targets", "answers", "prompts")
    # The programs as they are: the package of this checkout has no encoder weights.
    checkout = recorded_clone(clone, base / "checkout").as_installed
    for name in ("clip", "blip2"):
        shutil.rmtree(checkout.folder / "pipeline/expclip_cache/demo" / name)
    # The first clone, with its images and its DVC cache, is out of reach while the tests use the second.
    hidden = clone.folder.with_name("hidden")
    clone.folder.rename(hidden)
    yield checkout
    hidden.rename(clone.folder)


def test_the_workflow_reproduces_the_recorded_results(elsewhere):
    assert not (elsewhere.folder / "data").exists()
    assert not (elsewhere.folder / "features").exists()
    path = f"{stand_in_for_uv(elsewhere.folder.with_name('tools'))}:{elsewhere.environment()['PATH']}"
    constants = {"FEATURES_REMOTE": str(elsewhere.folder.with_name("store")), "CUDA_VISIBLE_DEVICES": "", "PATH": path}
    constants |= constants_of("licensed-benchmark", "rerun") | {"TOLERANCE": "0"}
    done = dict(run_steps(STEPS, lambda *command: elsewhere.run(*command, **constants)))
    assert list(done) == [FETCH, FIT, COMPARE]
    assert not (elsewhere.folder / "data").exists()
    assert stages_run(done[FIT].stdout) == {"heads", "scores", "intervals", "report"}
    assert "training 2 heads on cpu" in done[FIT].stderr
    printed = done[FIT].stdout + done[FIT].stderr
    assert [int(count) for count in re.findall(r"json: (\d+) confusion matrices", printed)] == [10] * 5 + [3] * 5
    assert "bit for bit" in done[COMPARE].stdout
    page = (elsewhere.folder / "report/index.html").read_text()
    assert '<div class="missing">' in page
    assert "<img" not in page


def test_nothing_is_fetched_or_run_when_nothing_changed(elsewhere):
    elsewhere.run("git", "checkout", "--", "pipeline/expclip_cache/demo", "dvc.lock", "results", "report")
    for name in ("features", "heads"):
        shutil.rmtree(elsewhere.folder / name)
    (elsewhere.folder / "report/index.html").unlink()
    for command in (["--dry", "--allow-missing"], ["--pull", "--allow-missing"]):
        assert not stages_run(elsewhere.repro(*command))
    assert not (elsewhere.folder / "features").exists()


def test_it_is_off_until_its_remote_exists_and_the_docs_say_how_to_fill_it():
    workflow = read_workflow("licensed-benchmark")
    assert list(workflow["on"]) == ["workflow_dispatch"]
    assert workflow["jobs"]["rerun"]["if"] == "vars.FEATURES_REMOTE != ''"
    assert "dvc push images targets answers prompts" in (ROOT / "docs/rerun.md").read_text()
