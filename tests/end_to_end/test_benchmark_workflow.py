"""The steps of .github/workflows/benchmark.yaml, in a fresh clone of a repository that carries its results."""

import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
from end_to_end.conftest import COMMIT, Checkout, recorded_clone, stages_run

from expclip_cache.scoring.answer_scores import read_answer_scores
from expclip_cache.scoring.results import scores_csv
from expclip_cache.scoring.score_file import read_score_file, write_score_file
from workflow_steps import constants_of, run_steps, stand_in_for_uv, steps_of

pytestmark = pytest.mark.slow
STEPS = steps_of("benchmark", "demo")
RUN, COMPARE = STEPS


@pytest.fixture(scope="module")
def pushed(clone, first_run, tmp_path_factory) -> Checkout:
    """A fresh clone with the recorded results of the first run, and nothing else that it made."""
    return recorded_clone(clone, tmp_path_factory.mktemp("pushed") / "checkout")


def outcome(checkout: Checkout, **environment: str) -> dict[str, tuple[int, str]]:
    """Run the workflow; name of each step that ran -> exit code and all that it printed."""
    path = f"{stand_in_for_uv(checkout.folder.with_name('tools'))}:{checkout.environment()['PATH']}"
    constants = constants_of("benchmark", "demo") | environment

    def run(*command: str):
        return checkout.run(*command, ok=False, PATH=path, **constants)

    return {name: (done.returncode, done.stdout + done.stderr) for name, done in run_steps(STEPS, run)}


def test_a_fresh_clone_makes_the_recorded_results_from_nothing(pushed):
    for made in ("data", "manifests", "features", "heads", ".dvc/cache"):
        assert not (pushed.folder / made).exists()
    found = outcome(pushed, TOLERANCE="0")
    assert list(found) == [RUN, COMPARE]
    assert {code for code, _ in found.values()} == {0}, found
    stages = {"crops", "images", "targets", "answers", "prompts", "heads", "scores", "intervals", "report"}
    assert {name for name in stages_run(found[RUN][1]) if "@" not in name} == stages
    assert "bit for bit" in found[COMPARE][1]


def test_two_clean_runs_change_no_file_that_git_has_dvc_lock_included(pushed):
    """The times of the two runs differ; see the test before, which runs the study for the second time."""
    assert "dvc.lock" in pushed.run("git", "ls-files").stdout
    assert pushed.run("git", "status", "--porcelain", "--untracked-files=all").stdout == ""


def test_a_moved_score_fails_the_job_and_is_named(pushed):
    """Recorded are other scores than those of the inputs."""
    file = pushed.folder / "results/scores/demo-clip/demo-grey.json"
    scores = read_score_file(file)
    found = scores.prompt_sets["reference"]
    head = found.heads[0]
    moved = {kind: np.roll(matrix, 1, axis=1) for kind, matrix in head.confusions.items()}
    heads = (replace(head, confusions=moved), *found.heads[1:])
    write_score_file(file, replace(scores, prompt_sets={"reference": replace(found, heads=heads)}))
    table = pushed.folder / "results/scores.csv"
    names = dict.fromkeys(line.split(",")[0] for line in table.read_text().splitlines()[1:])
    with_clip = [read_score_file(file.with_name(f"{name}.json")) for name in names]
    answers = [read_answer_scores(file.parents[1] / f"answers/demo-llm/{name}.json") for name in names]
    table.write_text(scores_csv([*with_clip, *answers]))
    pushed.run("python", "stages/report.py")
    pushed.run("git", "add", "-A")
    pushed.run(*COMMIT, "other scores")
    shutil.rmtree(pushed.folder / "recorded")
    code, text = outcome(pushed)[COMPARE]
    assert code == 1
    score = "results/scores.csv demo-grey/demo-clip/demo-llm/contrastive/1/reference/5.uar"
    assert re.search(rf"^{score}: recorded [\d.]+, rerun [\d.]+$", text, flags=re.M), text
    assert "demo-clean" not in text
    assert "Traceback" not in text


def test_no_result_is_compared_after_a_stage_that_fails(pushed):
    shutil.rmtree(pushed.folder / "recorded")
    pushed.edit("lr: 0.03", "lr: fast")
    found = outcome(pushed)
    assert list(found) == [RUN]
    assert found[RUN][0]
