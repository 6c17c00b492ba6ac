"""The demo from a fresh clone to the table of scores, as a newcomer runs it, then the edits that a researcher makes."""

import json
import os
import signal
import subprocess
import time

import pytest
from end_to_end.conftest import stages_run

SETS = ["demo-clean", "demo-grey", "demo-occluded", "demo-drawing", "demo-clips"]
SCORES = {f"score@{name}" for name in SETS}

pytestmark = pytest.mark.slow


def test_the_first_run_ends_in_the_table(clone, first_run):
    table = first_run[first_run.index("Zero-shot facial expression recognition") :]
    for word in [*SETS, "CLIP", "Exp-CLIP", "type 2", "type 5", "gain in UAR"]:
        assert word in table
    summary = json.loads((clone.folder / "report/summary.json").read_text())
    assert list(summary) == SETS
    for name, kinds in summary.items():
        assert list(kinds) == ["prompt_type_2", "prompt_type_5"]
        for row in kinds.values():
            assert row["n"] == (21 if name == "demo-clips" else 84)
            assert row["seeds"] == 2
            assert 0 <= row["clip_uar"] <= 100
            assert 0 <= row["expclip_uar"] <= 100
            assert row["expclip_uar_std"] >= 0


def test_a_second_run_reports_that_everything_is_up_to_date(clone, first_run):
    output = clone.repro()
    assert not stages_run(output)
    assert "Data and pipelines are up to date." in output


def test_git_sees_only_the_small_result_files(clone, first_run):
    new = clone.run("git", "status", "--porcelain", "--untracked-files=all").stdout.split("\n")
    allowed = ("results/", "report/", "dvc.lock", "params.yaml")
    assert not [line for line in new if line and not line[3:].startswith(allowed)]


def test_dvc_shows_the_metrics_and_plots(clone, first_run):
    metrics = json.loads(clone.run("dvc", "metrics", "show", "--json").stdout)[""]["data"]
    assert set(metrics) == {"report/metrics.json", "results/train/metrics.json"}
    assert list(metrics["report/metrics.json"]["data"]["uar"]) == SETS
    assert set(metrics["report/metrics.json"]["data"]["mean"]) == {"uar", "gain", "std"}
    clone.run("dvc", "plots", "show", "-o", "plots-page")
    page = (clone.folder / "plots-page/index.html").read_text()
    for title in ("UAR of each test set", "Loss of the head, mean and spread over seeds", "errorband"):
        assert title in page


def test_another_learning_rate_runs_only_train_score_and_report(clone, first_run):
    before = clone.results()
    clone.edit(r"lr: \S+", "lr: 0.5")
    assert stages_run(clone.repro()) == {"train", "report"} | SCORES
    assert clone.results() != before
    clone.edit(r"lr: \S+", "lr: 0.03")
    clone.repro()
    assert clone.results() == before


def test_another_prompt_set_or_an_edited_prompt_file_runs_no_image_encoder(clone, first_run):
    before = clone.results()
    clone.edit(r" set: \S+", " set: prompts/example.yaml")
    assert stages_run(clone.repro()) == {"encode-prompts", "report"} | SCORES
    file = clone.folder / "prompts/example.yaml"
    text = file.read_text()
    file.write_text(text.replace("a face that shows {n}.", "a portrait full of {n}."))
    assert stages_run(clone.repro()) == {"encode-prompts", "report"} | SCORES
    file.write_text(text)
    clone.edit(r" set: \S+", " set: reference")
    clone.repro()
    assert clone.results() == before


def test_a_forced_encode_stage_finds_its_cache_complete(clone, first_run):
    shards = sorted(clone.folder.glob("features/*/demo-train/shard-*.h5"))
    before = [(path.stat().st_ino, path.stat().st_mtime_ns) for path in shards]
    for stage in ("encode-targets", "encode-images@demo-train"):
        output = clone.run("dvc", "repro", "-f", "-s", stage)
        assert stages_run(output.stdout) == {stage}
        assert "nothing to do" in output.stderr + output.stdout
    assert [(path.stat().st_ino, path.stat().st_mtime_ns) for path in shards] == before
    assert not stages_run(clone.repro())


def test_a_killed_encode_stage_resumes_from_its_finished_shards(clone, first_run):
    clone.edit(r"shard_rows: \d+", "shard_rows: 16")
    clone.edit(r"batch_size: \d+ +# images", "batch_size: 8     # images")
    folder = clone.folder / "features/demo-clip/demo-train"
    run = subprocess.Popen(
        ["dvc", "repro", "encode-images@demo-train"],
        cwd=clone.folder,
        env=clone.environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 120
    while not (folder / "shard-00003.h5").exists():
        assert run.poll() is None, "the stage ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.005)
    os.killpg(run.pid, signal.SIGKILL)
    run.wait()
    kept = {path.name: path.stat().st_ino for path in folder.glob("shard-*.h5")}
    assert 4 <= len(kept) < 38
    assert not (folder / "index.json").exists()
    output = clone.run("dvc", "repro", "encode-images@demo-train")
    assert f"{len(kept)} of 38 shards are there already" in output.stdout + output.stderr
    resumed = {path.name: path.read_bytes() for path in folder.glob("[!.]*")}
    for path in folder.glob("*"):
        path.unlink()
    clone.repro("-f", "-s", "encode-images@demo-train")
    assert {path.name: path.read_bytes() for path in folder.glob("[!.]*")} == resumed
    assert len(resumed) == 38 + len(("index.json", "manifest.jsonl"))


def test_two_clean_runs_give_the_same_bytes(clone, first_run):
    clone.edit(r"shard_rows: \d+", "shard_rows: 2048")
    clone.edit(r"batch_size: \d+ +# images", "batch_size: 256   # images")
    clone.repro()
    before = clone.results()
    clone.run("git", "clean", "-qfdx")
    assert not (clone.folder / "features").exists()
    clone.run("dvc", "repro", "--no-run-cache")
    assert clone.results() == before
