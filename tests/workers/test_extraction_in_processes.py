"""An extraction by several processes: the same bytes as by one, and the same words when it cannot go on."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from expclip_cache.base.errors import CacheError
from expclip_cache.base.progress import SilentReporter
from expclip_cache.cache.shard import open_shard
from expclip_cache.extraction.run import extract
from expclip_cache.workers.device import resolve_devices
from pictures import CACHE, RUN, Told, contents, face_job, not_the_same_everywhere
from watching import PATIENCE, processes_of, wait_for

TWO = RUN.model_copy(update={"processes": 2, "workers": 1})


def test_two_processes_give_the_bytes_of_one_with_any_number_of_threads(faces, model, undisturbed, tmp_path):
    """The last bits depend on the threads, so all workers use the driver's number, whatever their own default."""
    told, threads = Told(), torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        extract(face_job(faces, model, tmp_path / "one"), CACHE, RUN, SilentReporter())
        cache = extract(face_job(faces, model, tmp_path / "two"), CACHE, TWO, told)
    finally:
        torch.set_num_threads(threads)
    assert contents(tmp_path / "two") == contents(tmp_path / "one")
    assert len(contents(tmp_path / "two")) == len(undisturbed)
    assert list(cache.skipped) == [5]
    ((title, total, unit),) = told.bars
    assert title == f"{tmp_path / 'two'} on 2 processes, the first on cpu (3 threads)"
    assert (total, unit) == (30, "image")


COMMAND = ["extract", "--shard-rows=1", "--batch-size=1", "--device=cpu", "--workers=1", "--processes=2"]


@pytest.fixture
def command(faces, model, tmp_path):
    """Start the real command in a session of its own."""

    def start(*more: str) -> subprocess.Popen:
        words = [*COMMAND, f"--model={model.model}", *more, str(faces), str(tmp_path / "out")]
        return subprocess.Popen(
            [sys.executable, "-m", "expclip_cache.commands.app", *words],
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    return start


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks into /proc for processes that are left")
def test_nobody_outlives_a_killed_driver_and_the_next_command_goes_on(command, undisturbed, tmp_path):
    out, run = tmp_path / "out", command()
    wait_for(lambda: len(list(out.glob("shard-*.h5"))) >= 3)
    run.kill()
    run.communicate()
    wait_for(lambda: not processes_of(run.pid))
    kept = {path.name: path.stat().st_ino for path in out.glob("shard-*.h5")}
    assert 3 <= len(kept) < 30
    again = command("--processes=1")
    _, words = again.communicate(timeout=PATIENCE)
    assert again.returncode == 0, words
    assert f"{len(kept)} of 30 shards are there already" in words
    assert {name: (out / name).stat().st_ino for name in kept} == kept
    assert not list(out.glob(".*.tmp"))


def test_workers_with_different_weights_are_refused(faces, model, tmp_path):
    """What a second worker would have added is not in the cache, and no index declares it complete."""
    job = not_the_same_everywhere(face_job(faces, model, tmp_path / "out"), tmp_path)
    with pytest.raises(CacheError, match=r"workers have different encoders(.|\n)*weights_sha256(.|\n)*Give every"):
        extract(job, CACHE, TWO, SilentReporter())
    found = {open_shard(path).identity.encoder["weights_sha256"] for path in (tmp_path / "out").glob("shard-*.h5")}
    assert len(found) <= 1
    assert not (tmp_path / "out/index.json").exists()


def test_devices_of_this_machine():
    assert resolve_devices("cpu") == ["cpu"]
    assert resolve_devices("cpu", 3) == ["cpu"] * 3
