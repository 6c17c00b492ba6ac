"""Extraction by several processes: the same bytes as by one process, and it resumes after a kill."""

import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch

from expclip_cache.base import CacheError, DataError, SilentReporter
from expclip_cache.cache.shard import open_shard
from expclip_cache.extraction import run_job, run_jobs
from expclip_cache.workers import resolve_devices
from face_images import (
    CACHE,
    RUN,
    RecordingReporter,
    files_in,
    image_and_clip_jobs,
    image_job,
    noted,
    with_different_weights,
    write_images,
)
from live_processes import TIMEOUT, processes_of, wait_for

TWO_PROCESSES = RUN.model_copy(update={"processes": 2, "workers": 1})


@pytest.mark.slow
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


@pytest.mark.slow
def test_several_datasets_share_the_processes(images, model, reference_of_three, tmp_path, one_thread):
    """Two processes load the encoder once each, for three datasets that they encode in turn."""
    jobs = image_and_clip_jobs(images, model, tmp_path / "out")
    notes = tmp_path / "notes"
    notes.mkdir()
    caches = run_jobs([noted(job, notes) for job in jobs], CACHE, TWO_PROCESSES, reporter := RecordingReporter())
    assert [files_in(job.out) for job in jobs] == reference_of_three
    assert [len(cache) for cache in caches] == [8, 6, 30]
    assert len(list(notes.iterdir())) == 2
    sizes = ((8, "image"), (6, "clip"), (30, "image"))
    where = "on 2 processes, the first on cpu (1 thread)"
    bars = [(f"{job.out} {where}", *size) for job, size in zip(jobs, sizes, strict=True)]
    # In order; a dataset that one process finishes while the other is still at work on an earlier one has no bar.
    assert reporter.bars == [bar for bar in bars if bar in reporter.bars]
    assert reporter.bars[0] == bars[0]


@pytest.mark.slow
def test_a_dataset_that_fails_does_not_stop_the_others(model, tmp_path, one_thread):
    images, empty = write_images(tmp_path / "good", 30, bad=()), tmp_path / "empty"
    empty.mkdir()
    cache = CACHE.model_copy(update={"on_bad_image": "fail"})
    jobs = image_and_clip_jobs(images, model, tmp_path / "out")
    run_job(replace(jobs[2], out=tmp_path / "alone"), cache, RUN, SilentReporter())
    jobs[0], jobs[1] = (replace(job, root=partial(Path, empty)) for job in jobs[:2])
    with pytest.raises(DataError, match=r"^2 of 3 caches cannot be made\.\nsome: '00\d.*\nclips: 'clip-\d' .* kept\.$"):
        run_jobs(jobs, cache, TWO_PROCESSES, SilentReporter())
    assert files_in(jobs[2].out) == files_in(tmp_path / "alone")
    assert not (jobs[0].out / "index.json").exists()


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


@pytest.mark.slow
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


@pytest.mark.slow
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
