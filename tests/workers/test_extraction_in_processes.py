"""Extraction by several processes: the same bytes as by one process, and it resumes after a kill."""

import os
import signal
import subprocess
import sys
import tarfile
import threading
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from typer.testing import CliRunner

from expclip_cache.base import CacheError, DataError, SilentReporter
from expclip_cache.cache.shard import open_shard
from expclip_cache.commands.app import app
from expclip_cache.datasets import build_manifest
from expclip_cache.extraction import clip_job, run_job, run_jobs
from expclip_cache.workers import resolve_devices
from face_images import (
    CACHE,
    RUN,
    RecordingReporter,
    files_in,
    image_and_clip_jobs,
    image_job,
    noted,
    paused,
    with_different_weights,
    write_images,
)
from live_processes import processes_of, wait_for
from torch_threads import torch_threads

TWO_PROCESSES = RUN.model_copy(update={"processes": 2, "workers": 1})


@pytest.mark.slow
def test_several_datasets_share_two_processes_and_get_the_bytes_of_one_with_any_number_of_threads(
    images, model, tmp_path
):
    """Each process loads the encoder once. The last bits depend on the number of threads: all use the coordinator's."""
    alone, jobs = (image_and_clip_jobs(images, model, tmp_path / out) for out in ("alone", "together"))
    notes = tmp_path / "notes"
    notes.mkdir()
    reporter = RecordingReporter()
    with torch_threads(3):
        for job in alone:
            run_job(job, CACHE, RUN, SilentReporter())
        caches = run_jobs([noted(job, notes) for job in jobs], CACHE, TWO_PROCESSES, reporter)
    assert [files_in(job.out) for job in jobs] == [files_in(job.out) for job in alone]
    assert len(list(notes.iterdir())) == 2
    assert [len(cache) for cache in caches] == [8, 6, 30]
    assert list(caches[0].skipped) == [5]
    sizes = ((8, "image"), (6, "clip"), (30, "image"))
    where = "on 2 processes, the first on cpu (3 threads)"
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


@pytest.mark.slow
def test_an_encoding_process_that_is_killed_over_tar_shards_is_replaced(images, model, tmp_path, one_thread):
    """Each process opens the shards that it needs; the result is that of one process."""
    (tmp_path / "tars").mkdir()
    files = sorted(images.iterdir())
    for number in range(3):
        with tarfile.open(tmp_path / "tars" / f"{number}.tar", "w") as tar:
            for file in files[10 * number : 10 * number + 10]:
                tar.add(file, file.name)
    manifest = build_manifest(tmp_path / "tars", "webdataset")
    assert len(manifest.rows) == 30
    alone, job = (
        clip_job(manifest, partial(Path, tmp_path / "tars"), model, tmp_path / out) for out in ("alone", "out")
    )
    run_job(alone, CACHE, RUN, SilentReporter())
    notes = tmp_path / "notes"
    notes.mkdir()

    def kill_one() -> None:
        wait_for(lambda: len(list(notes.iterdir())) == 2)
        os.kill(int(min(notes.iterdir()).name), signal.SIGKILL)
        (notes / "go").touch()

    killer = threading.Thread(target=kill_one)
    killer.start()
    reporter = RecordingReporter()
    run_job(paused(job, notes), CACHE, TWO_PROCESSES, reporter)
    killer.join()
    assert any("Another process replaces it" in line for line in reporter.lines), reporter.lines
    assert files_in(tmp_path / "out") == files_in(tmp_path / "alone")


@pytest.mark.slow
def test_two_processes_can_keep_decoded_images_in_one_file(images, model, tmp_path, one_thread):
    kept = RUN.model_copy(update={"pixels": tmp_path / "pixels"})
    for out, processes in ("two", 2), ("again", 1):
        run_job(
            image_job(images, model, tmp_path / out),
            CACHE,
            kept.model_copy(update={"processes": processes}),
            SilentReporter(),
        )
    run_job(image_job(images, model, tmp_path / "alone"), CACHE, RUN, SilentReporter())
    assert len(list((tmp_path / "pixels").iterdir())) == 1
    assert files_in(tmp_path / "two") == files_in(tmp_path / "again") == files_in(tmp_path / "alone")


COMMAND = ["extract", "--shard-rows=1", "--batch-size=1", "--device=cpu", "--workers=1"]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="lists the live processes with /proc")
def test_no_process_outlives_a_killed_command_and_the_next_one_resumes(images, model, tmp_path):
    out = tmp_path / "out"
    words = [*COMMAND, f"--model={model.model}", str(images), str(out)]
    command = [sys.executable, "-m", "expclip_cache.commands.app", *words, "--processes=2"]
    run = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    wait_for(lambda: len(list(out.glob("shard-*.h5"))) >= 3)
    run.kill()
    run.communicate()
    wait_for(lambda: not processes_of(run.pid))
    kept = {path.name: path.stat().st_ino for path in out.glob("shard-*.h5")}
    assert 3 <= len(kept) < 30
    again = CliRunner().invoke(app, words)
    assert again.exit_code == 0, again.output
    assert f"{len(kept)} of 30 shards are there already" in again.output
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


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_the_way_in_which_python_starts_processes_by_default_does_not_matter(images, model, tmp_path, method):
    """Python 3.14 changed it from fork to forkserver on Linux."""
    job = image_job(images, model, tmp_path / "out")
    run_job(job, CACHE, RUN, SilentReporter())
    program = f"""
import multiprocessing, sys
from pathlib import Path
if __name__ == "__main__":
    multiprocessing.set_start_method({method!r})
    from expclip_cache.base import SilentReporter
    from expclip_cache.encoders import ClipSettings
    from expclip_cache.extraction import run_job
    from face_images import CACHE, RUN, image_job
    job = image_job(Path({str(images)!r}), ClipSettings(model={model.model!r}), Path({str(tmp_path / "other")!r}))
    run_job(job, CACHE, RUN.model_copy(update={{"workers": 2, "processes": 2}}), SilentReporter())
"""
    (tmp_path / "program.py").write_text(program)
    support = str(Path(__file__).parents[1] / "support")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([support, os.environ.get("PYTHONPATH", "")])}
    subprocess.run([sys.executable, tmp_path / "program.py"], check=True, env=environment, timeout=300)
    assert files_in(tmp_path / "other") == files_in(job.out)
