"""A Ray cluster of four nodes on this machine: the same bytes as in one process, whatever dies."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from four_nodes import NODES
from typer.testing import CliRunner

from expclip_cache.base import CacheError, DataError, EncoderError, LostWorkerError, SettingsError, SilentReporter
from expclip_cache.cache import FeatureCache
from expclip_cache.commands.app import app
from expclip_cache.extraction import run_job, run_jobs
from expclip_cache.workers.ray_cluster import run_on_ray
from face_images import CACHE, RUN, RecordingReporter, files_in, image_and_clip_jobs, image_job, paused
from file_tasks import START, Recorder, WriteFiles, all_done
from live_processes import wait_for

ON_RAY = RUN.model_copy(update={"executor": "ray", "workers": 1})

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def one_cpu_each(one_thread):
    """A worker needs as many CPUs as this process has threads."""


def run(folder, failures=None, count=12, **settings):
    recorder = Recorder()
    run_on_ray(WriteFiles(folder, failures or {}), range(count), ON_RAY.model_copy(update=settings), recorder)
    return recorder


def test_every_task_is_done_by_one_worker_for_each_cpu(connected, tmp_path):
    recorder = run(tmp_path, count=40)
    assert all_done(recorder, 40)
    assert recorder.places == [f"{NODES} Ray workers, the first on a cpu"]
    assert recorder.lines == []


@pytest.mark.parametrize("failure", ["die once", "lost-worker once"])
def test_tasks_of_a_dead_worker_are_requeued(connected, tmp_path, failure):
    recorder = run(tmp_path, {4: failure}, processes=2)
    assert all_done(recorder, 12)
    assert 4 in recorder.lost_tasks
    assert len(recorder.lines) == 1
    assert recorder.lines[0].endswith("Another worker replaces it as soon as the cluster has room.")


def test_a_poison_task_is_named(connected, tmp_path):
    with pytest.raises(LostWorkerError, match=r"^task 4: 3 workers died over it"):
        run(tmp_path, {4: "die"}, processes=2)
    assert list(tmp_path.glob("0.*"))


def test_workers_that_never_start_end_the_job(connected, tmp_path):
    with pytest.raises(LostWorkerError, match="3 workers in a row died before they took a task"):
        run(tmp_path, {START: "die"}, processes=2)


def test_errors_arrive_as_they_were_raised(connected, tmp_path):
    with pytest.raises(DataError, match=r"^image 'a\.png' cannot be read\. Repair it\.$"):
        run(tmp_path, {3: "data-error"}, processes=1)
    with pytest.raises(RuntimeError, match=r"in raise_bug\n(.|\n)*ZeroDivisionError: a bug"):
        run(tmp_path, {3: "bug"}, processes=1)


def test_resources_that_the_cluster_does_not_have_are_named(connected, tmp_path):
    with pytest.raises(EncoderError, match="no node of the Ray cluster has 1 GPU for a worker"):
        run(tmp_path, device="cuda")
    with pytest.raises(SettingsError, match="expected auto, cpu or cuda for executor ray, found 'cuda:1'"):
        run(tmp_path, device="cuda:1")


def test_an_output_folder_that_the_workers_do_not_share_is_refused(connected, images, model, tmp_path, monkeypatch):
    monkeypatch.setattr("expclip_cache.cache.lock._sign", lambda *_: "a line that is not there")
    job, settings = image_job(images, model, tmp_path / "out"), ON_RAY.model_copy(update={"processes": 1})
    with pytest.raises(CacheError, match=r"is not the same folder on .* as where the command was started"):
        run_job(job, CACHE, settings, SilentReporter())


def test_several_datasets_share_the_workers_and_killing_a_node_changes_no_bit(
    connected, images, model, reference_of_three, tmp_path
):
    notes, killed = tmp_path / "notes", []
    notes.mkdir()

    def kill_a_node():
        wait_for(lambda: len(list(notes.iterdir())) >= 2)
        node = node_process_of(int(next(notes.iterdir()).name))
        children = descendants(node)
        for process in [node, *children]:
            os.kill(process, signal.SIGKILL)
        killed.append(len(children))
        (notes / "go").touch()

    killer = threading.Thread(target=kill_a_node)
    killer.start()
    reporter = RecordingReporter()
    jobs = [paused(job, notes) for job in image_and_clip_jobs(images, model, tmp_path / "out")]
    run_jobs(jobs, CACHE, ON_RAY.model_copy(update={"processes": 2}), reporter)
    killer.join()
    assert killed
    assert any("Another worker replaces it" in line for line in reporter.lines), reporter.lines
    assert [files_in(job.out) for job in jobs] == reference_of_three


COMMAND = ["extract", "--shard-rows=2", "--batch-size=3", "--dtype=float32", "--device=cpu", "--workers=1"]


def test_a_second_command_is_refused_and_the_next_one_resumes_after_a_kill(cluster_address, images, model, tmp_path):
    out = tmp_path / "out"
    words = [*COMMAND, "--executor=ray", "--processes=1", f"--model={model.model}", str(images), str(out)]

    command = [sys.executable, "-m", "expclip_cache.commands.app", *words]
    first = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    wait_for(lambda: list(out.glob("shard-*.h5")))
    os.kill(first.pid, signal.SIGSTOP)
    second = CliRunner().invoke(app, words)
    assert second.exit_code == 1
    assert f"another extraction is writing here (process {first.pid} on " in second.output.splitlines()[-1]
    first.kill()
    first.communicate()
    kept = {path.name: path.stat().st_ino for path in out.glob("shard-*.h5")}
    third = CliRunner().invoke(app, words)
    assert third.exit_code == 0, third.output
    assert {name: (out / name).stat().st_ino for name in kept} == kept
    whole = tmp_path / "whole"
    run_job(image_job(images, model, whole), CACHE, RUN, SilentReporter())
    assert features_of(out) == features_of(whole)


def node_process_of(process: int) -> int:
    """The process of Ray that runs a node (the raylet), an ancestor of the worker process."""
    while b"raylet" not in Path(f"/proc/{process}/cmdline").read_bytes().partition(b"\0")[0]:
        process = int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
    return process


def descendants(process: int) -> list[int]:
    children = [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]
    return [*children, *(below for child in children for below in descendants(child))]


def features_of(folder: Path) -> bytes:
    """All features; the identities differ, since the command lists no labels."""
    cache = FeatureCache(folder)
    return cache[cache.good_rows].tobytes()


WITHOUT_RAY = """
import sys
sys.modules["ray"] = None
from expclip_cache.commands.app import app
app()
"""


def test_if_ray_is_not_installed_the_extra_is_named(images, model, tmp_path):
    words = [*COMMAND, "--executor=ray", f"--model={model.model}", str(images), str(tmp_path / "out")]
    run = subprocess.run([sys.executable, "-c", WITHOUT_RAY, *words], capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert run.stderr.splitlines()[-1].startswith("error: run.executor: ray is not installed.")
    assert "pip install 'expclip-cache[ray]'" in run.stderr
