"""Extraction by several processes: the same bytes as by one process, and it resumes after a kill."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from expclip_cache.base import CacheError, SilentReporter
from expclip_cache.cache.shard import open_shard
from expclip_cache.extraction import run_job
from expclip_cache.workers import resolve_devices
from face_images import CACHE, RUN, RecordingReporter, files_in, image_job, with_different_weights
from live_processes import TIMEOUT, processes_of, wait_for

TWO_PROCESSES = RUN.model_copy(update={"processes": 2, "workers": 1})


def test_two_processes_give_the_bytes_of_one_with_any_number_of_threads(images, model, reference_files, tmp_path):
    """The last bits depend on the number of threads, so all workers use the number of the coordinator's process."""
    reporter, threads = RecordingReporter(), torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        run_job(image_job(images, model, tmp_path / "one"), CACHE, RUN, SilentReporter())
        cache = run_job(image_job(images, model, tmp_path / "two"), CACHE, TWO_PROCESSES, reporter)
    finally:
        torch.set_num_threads(threads)
    assert files_in(tmp_path / "two") == files_in(tmp_path / "one")
    assert len(files_in(tmp_path / "two")) == len(reference_files)
    assert cache is not None
    assert list(cache.skipped) == [5]
    ((title, total, unit),) = reporter.bars
    assert title == f"{tmp_path / 'two'} on 2 processes, the first on cpu (3 threads)"
    assert (total, unit) == (30, "image")


COMMAND = ["extract", "--shard-rows=1", "--batch-size=1", "--device=cpu", "--workers=1", "--processes=2"]


@pytest.fixture
def start(images, model, tmp_path):
    """Starts the real command in a session of its own."""

    def start(*options: str) -> subprocess.Popen:
        words = [*COMMAND, f"--model={model.model}", *options, str(images), str(tmp_path / "out")]
        return subprocess.Popen(
            [sys.executable, "-m", "expclip_cache.commands.app", *words],
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    return start


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="lists the live processes with /proc")
def test_no_process_outlives_a_killed_command_and_the_next_one_resumes(start, reference_files, tmp_path):
    out, run = tmp_path / "out", start()
    wait_for(lambda: len(list(out.glob("shard-*.h5"))) >= 3)
    run.kill()
    run.communicate()
    wait_for(lambda: not processes_of(run.pid))
    kept = {path.name: path.stat().st_ino for path in out.glob("shard-*.h5")}
    assert 3 <= len(kept) < 30
    again = start("--processes=1")
    _, output = again.communicate(timeout=TIMEOUT)
    assert again.returncode == 0, output
    assert f"{len(kept)} of 30 shards are there already" in output
    assert {name: (out / name).stat().st_ino for name in kept} == kept
    assert not list(out.glob(".*.tmp"))


def test_workers_with_different_weights_are_refused(images, model, tmp_path):
    """The cache holds shards of at most one worker, and no index declares it complete."""
    job = with_different_weights(image_job(images, model, tmp_path / "out"), tmp_path)
    with pytest.raises(CacheError, match=r"workers have different encoders(.|\n)*weights_sha256(.|\n)*Give every"):
        run_job(job, CACHE, TWO_PROCESSES, SilentReporter())
    found = {open_shard(path).identity.encoder["weights_sha256"] for path in (tmp_path / "out").glob("shard-*.h5")}
    assert len(found) <= 1
    assert not (tmp_path / "out/index.json").exists()


def test_devices_of_this_machine():
    assert resolve_devices("cpu") == ["cpu"]
    assert resolve_devices("cpu", 3) == ["cpu"] * 3
