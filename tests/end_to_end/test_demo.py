"""The demo from a fresh clone to the table of scores, as a newcomer runs it, then the edits that a researcher makes."""

import csv
import json
import os
import shutil
import signal
import subprocess
import time

import pytest
from end_to_end.conftest import Checkout, stages_run

SETS = ["demo-clean", "demo-grey", "demo-occluded", "demo-drawing", "demo-clips"]

pytestmark = pytest.mark.slow


def score_rows(checkout: Checkout) -> list[dict[str, str]]:
    return list(csv.DictReader((checkout.folder / "results/scores.csv").read_text().splitlines()))


def test_the_first_run_ends_in_the_table(clone, first_run):
    table = first_run[first_run.index("Zero-shot facial expression recognition") :]
    for word in [*SETS, "CLIP", "contrastive", "ridge", "type 2", "type 5", "mean"]:
        assert word in table
    assert max(map(len, table.splitlines())) <= 80
    lines = " ".join(table.split())
    assert "Weakest class under type 5, mean recall over the test sets: plain CLIP surprise" in lines
    assert "The faces of all test sets are drawn" in lines
    rows = score_rows(clone)
    assert list(dict.fromkeys(row["test_set"] for row in rows)) == SETS
    heads = [("contrastive", "1"), ("contrastive", "2"), ("ridge", "")]
    systems = [("", "", ""), *(("demo-llm", *head) for head in heads), ("demo-background", "ridge", "")]
    for name in SETS:
        own = [row for row in rows if row["test_set"] == name]
        assert [(row["prompt_type"], row["teacher"], row["head"], row["seed"]) for row in own] == [
            *((kind, *system) for kind in ("2", "5") for system in systems),
            *(("0", "demo-llm", rule, "") for rule in ("raw", "length-normalised", "calibrated")),
        ]
        for row in own:
            assert row["items"] == ("21" if name == "demo-clips" else "84")
            assert 0 <= float(row["uar"]) <= 100
            assert 0 <= float(row["war"]) <= 100


def test_the_first_run_shows_no_noise(first_run_messages):
    for noise in ("Loading weights", "To track the changes with git", "Warning", "warn"):
        assert noise not in first_run_messages
    for name in (*SETS, "demo-train"):
        assert f"drawing {name}" in first_run_messages
        assert f"features/images/demo-clip/{name} on cpu" in first_run_messages


def test_a_second_run_reports_that_everything_is_up_to_date(clone, first_run):
    output = clone.repro()
    assert not stages_run(output)
    assert "Data and pipelines are up to date." in output


def test_git_sees_only_the_small_result_files(clone, first_run):
    new = clone.run("git", "status", "--porcelain", "--untracked-files=all").stdout.split("\n")
    allowed = ("results/", "report/", "dvc.lock", "params.yaml")
    assert not [line for line in new if line and not line[3:].startswith(allowed)]


def test_dvc_tracks_no_drawn_image(clone, first_run):
    lock = (clone.folder / "dvc.lock").read_text()
    assert "data/" not in lock
    assert not list((clone.folder / ".dvc/cache").rglob("*.png"))


def test_dvc_shows_the_metrics_and_plots(clone, first_run):
    metrics = json.loads(clone.run("dvc", "metrics", "show", "--json").stdout)[""]["data"]
    assert set(metrics) == {"report/metrics.json", "results/heads/metrics.json"}
    heads = metrics["report/metrics.json"]["data"]["demo-clip"]["demo-llm"]
    assert list(heads) == ["contrastive", "ridge"]
    for head in heads.values():
        assert {"uar", "gain", "test_sets"} <= head["reference"].keys()
        assert list(head["reference"]["test_sets"]) == SETS
    clone.run("dvc", "plots", "show", "-o", "plots-page")
    page = (clone.folder / "plots-page/index.html").read_text()
    for title in ("UAR of each test set and system", "Loss of the heads, mean and spread over seeds", "errorband"):
        assert title in page


def test_another_prompt_set_or_an_edited_prompt_file_runs_no_image_encoder(clone, first_run):
    before = clone.results()
    clone.edit(r" set: \S+", " set: prompts/example.yaml")
    assert stages_run(clone.repro()) == {"prompts", "scores", "intervals", "report"}
    file = clone.folder / "prompts/example.yaml"
    text = file.read_text()
    file.write_text(text.replace("a face that shows {n}.", "a portrait full of {n}."))
    assert stages_run(clone.repro()) == {"prompts", "scores", "intervals", "report"}
    file.write_text(text)
    clone.edit(r" set: \S+", " set: reference")
    clone.repro()
    assert clone.results() == before


def test_a_forced_encode_stage_finds_its_caches_complete(clone, first_run):
    shards = sorted(clone.folder.glob("features/*/*/*/shard-*.h5"))
    assert len(shards) >= 7
    before = [(path.stat().st_ino, path.stat().st_mtime_ns) for path in shards]
    for stage in ("targets", "images"):
        output = clone.run("dvc", "repro", "-f", "-s", stage)
        assert stages_run(output.stdout) == {stage}
        assert "nothing to do" in output.stderr + output.stdout
    assert [(path.stat().st_ino, path.stat().st_mtime_ns) for path in shards] == before
    assert not stages_run(clone.repro())


def test_images_that_are_gone_are_not_missed_and_are_drawn_again_when_they_are_needed(clone, first_run):
    before, drawn = clone.results(), clone.folder / "data/demo-grey"
    clone.run("rm", "-r", "data")
    assert not stages_run(clone.repro())
    clone.run("rm", "-r", "features/images/demo-clip/demo-grey")
    output = clone.run("dvc", "repro")
    assert stages_run(output.stdout) == {"images"}
    assert "drawing demo-grey" in output.stderr
    assert "drawing demo-clean" not in output.stderr
    assert len(list(drawn.rglob("*.png"))) == 84
    assert clone.results() == before


def test_a_killed_encode_stage_resumes_from_its_finished_shards(clone, first_run, tmp_path):
    shutil.copytree(clone.folder, tmp_path / "killed", symlinks=True)
    checkout = Checkout(tmp_path / "killed", clone.programs)
    checkout.edit(r"shard_rows: \d+", "shard_rows: 16")
    checkout.edit(r"batch_size: \d+ +# images", "batch_size: 8     # images")
    folder = checkout.folder / "features/images/demo-clip/demo-train"
    run = subprocess.Popen(
        ["dvc", "repro", "-s", "images"],
        cwd=checkout.folder,
        env=checkout.as_installed.environment(),
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
    output = checkout.run("dvc", "repro", "-s", "images")
    assert f"{len(kept)} of 38 shards are there already" in output.stdout + output.stderr
    resumed = {path.name: path.read_bytes() for path in folder.glob("[!.]*")}
    for path in folder.glob("*"):
        path.unlink()
    checkout.repro("-f", "-s", "images")
    assert {path.name: path.read_bytes() for path in folder.glob("[!.]*")} == resumed
    assert len(resumed) == 38 + len(("index.json", "manifest.arrow"))
