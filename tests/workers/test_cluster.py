"""A Ray cluster of four nodes on this machine: the same bytes as without it, whatever dies on the way."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import ray
import torch
from ray.cluster_utils import Cluster

from expclip_cache.base.errors import CacheError, DataError, EncoderError, LostWorkerError, SettingsError
from expclip_cache.base.progress import SilentReporter
from expclip_cache.cache.reader import FeatureCache
from expclip_cache.extraction.run import extract
from expclip_cache.workers.ray_cluster import run_on_cluster
from pictures import CACHE, RUN, Told, contents, face_job, held_up
from watching import wait_for
from works import Heard, WriteFiles, all_done

ON_RAY = RUN.model_copy(update={"executor": "ray", "workers": 1})
HERE = Path(__file__).parent
NODES = 4
SMALL = {"object_store_memory": 80_000_000}
QUICK = {"health_check_initial_delay_ms": 1000, "health_check_period_ms": 500, "health_check_failure_threshold": 4}
"""Ray notices that a node is gone after two seconds, not after fifteen."""


@pytest.fixture(scope="module")
def cluster():
    """Four nodes with one CPU slot each; the driver's own node has none."""
    # Ray's workers import the work of these tests by name.
    paths = os.pathsep.join([str(HERE), *sys.path])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", paths)
        patch.setenv("OMP_NUM_THREADS", "1")
        started = Cluster(
            initialize_head=True, head_node_args={"num_cpus": 0, "num_gpus": 0, **SMALL, "_system_config": QUICK}
        )
        for _ in range(NODES):
            started.add_node(num_cpus=1, num_gpus=0, **SMALL)
        patch.setenv("RAY_ADDRESS", started.address)
        yield started
        started.shutdown()


@pytest.fixture(autouse=True)
def one_thread():
    """A worker needs as many CPUs as the driver has threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def connected(cluster):
    ray.init(log_to_driver=False, logging_level="ERROR")
    yield
    ray.shutdown()


def do(folder, trouble=None, count=12, **settings):
    heard = Heard()
    work = WriteFiles(folder, trouble or {})
    run_on_cluster(work, range(count), ON_RAY.model_copy(update=settings), heard)
    return heard


def test_every_number_is_done_by_one_worker_for_each_slot(connected, tmp_path):
    heard = do(tmp_path, count=40)
    assert all_done(heard, 40)
    assert heard.places == [f"{NODES} workers of a Ray cluster, the first on a cpu"]
    assert heard.lines == []


@pytest.mark.parametrize("trouble", ["dies once", "loses once"])
def test_another_worker_does_what_a_lost_one_held(connected, tmp_path, trouble):
    heard = do(tmp_path, {4: trouble}, processes=2)
    assert all_done(heard, 12)
    assert 4 in heard.gone
    assert len(heard.lines) == 1
    assert heard.lines[0].endswith("Another takes its place when there is room.")


def test_a_number_that_kills_every_worker_is_named(connected, tmp_path):
    with pytest.raises(LostWorkerError, match=r"^number 4: 3 workers died over it"):
        do(tmp_path, {4: "dies"}, processes=2)
    assert list(tmp_path.glob("0.*"))


def test_errors_arrive_as_they_were_raised(connected, tmp_path):
    with pytest.raises(DataError, match=r"^picture 'a\.png' cannot be read\. Mend it\.$"):
        do(tmp_path, {3: "refuses"}, processes=1)
    with pytest.raises(RuntimeError, match=r"in stumbles\n(.|\n)*ZeroDivisionError: a bug"):
        do(tmp_path, {3: "stumbles"}, processes=1)


def test_what_the_cluster_does_not_have(connected, tmp_path):
    with pytest.raises(EncoderError, match="no node of the Ray cluster has 1 GPU for a worker"):
        do(tmp_path, device="cuda")
    with pytest.raises(SettingsError, match="expected auto, cpu or cuda for executor ray, found 'cuda:1'"):
        do(tmp_path, device="cuda:1")


def test_a_folder_that_the_workers_do_not_share_is_noticed(connected, faces, model, tmp_path, monkeypatch):
    monkeypatch.setattr("expclip_cache.cache.lock._sign", lambda *_: "a line that is not there")
    job, run = face_job(faces, model, tmp_path / "out"), ON_RAY.model_copy(update={"processes": 1})
    with pytest.raises(CacheError, match=r"is not the same folder on .* as where the command was started"):
        extract(job, CACHE, run, SilentReporter())


def test_a_bad_picture_ends_the_job_with_one_line(connected, faces, model, tmp_path):
    job, cache = face_job(faces, model, tmp_path / "out"), CACHE.model_copy(update={"on_bad_image": "fail"})
    with pytest.raises(DataError, match=r"^faces: '005\.png' \(row 5\) cannot be read: .*finished shards are kept\.$"):
        extract(job, cache, ON_RAY.model_copy(update={"processes": 1}), SilentReporter())


def test_a_node_killed_in_the_middle_changes_no_bit(cluster, connected, faces, model, undisturbed, tmp_path):
    notes, killed = tmp_path / "notes", []
    notes.mkdir()

    def kill_a_node():
        wait_for(lambda: len(list(notes.iterdir())) >= 2)
        victim = raylet_of(int(next(notes.iterdir()).name))
        family = descendants(victim)
        for process in [victim, *family]:
            os.kill(process, signal.SIGKILL)
        killed.append(len(family))
        (notes / "go").touch()

    killer = threading.Thread(target=kill_a_node)
    killer.start()
    heard = Told()
    extract(held_up(face_job(faces, model, tmp_path / "out"), notes), CACHE, ON_RAY, heard)
    killer.join()
    assert killed
    assert any("Another takes its place" in line for line in heard.lines), heard.lines
    assert contents(tmp_path / "out") == undisturbed


COMMAND = ["extract", "--shard-rows=2", "--batch-size=3", "--dtype=float32", "--device=cpu", "--workers=1"]


def test_one_driver_at_a_time_and_a_killed_one_leaves_work_for_the_next(cluster, faces, model, tmp_path):
    out = tmp_path / "out"
    words = [*COMMAND, "--executor=ray", "--processes=2", f"--model={model.model}", str(faces), str(out)]

    def start() -> subprocess.Popen:
        command = [sys.executable, "-m", "expclip_cache.commands.app", *words]
        return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)

    first = start()
    wait_for(lambda: list(out.glob("shard-*.h5")))
    os.kill(first.pid, signal.SIGSTOP)
    second = start()
    _, said = second.communicate()
    assert second.returncode == 1
    assert f"another extraction is writing here (process {first.pid} on " in said.splitlines()[-1]
    first.kill()
    first.communicate()
    kept = {path.name: path.stat().st_ino for path in out.glob("shard-*.h5")}
    third = start()
    _, said = third.communicate()
    assert third.returncode == 0, said
    assert "Traceback" not in said
    assert {name: (out / name).stat().st_ino for name in kept} == kept
    whole = tmp_path / "whole"
    extract(face_job(faces, model, whole), CACHE, RUN, SilentReporter())
    assert features_of(out) == features_of(whole)


def raylet_of(process: int) -> int:
    """The process of Ray that runs a node and is above a worker."""
    while b"raylet" not in Path(f"/proc/{process}/cmdline").read_bytes().partition(b"\0")[0]:
        process = int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
    return process


def descendants(process: int) -> list[int]:
    children = [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]
    return [*children, *(below for child in children for below in descendants(child))]


def features_of(folder: Path) -> bytes:
    """All features; the settings in the heads differ, since the command lists no labels."""
    cache = FeatureCache(folder)
    return cache[cache.good_rows].tobytes()


WITHOUT_RAY = """
import sys
sys.modules["ray"] = None
from expclip_cache.commands.app import app
app()
"""


def test_without_ray_the_extra_is_named(faces, model, tmp_path):
    words = [*COMMAND, "--executor=ray", f"--model={model.model}", str(faces), str(tmp_path / "out")]
    run = subprocess.run([sys.executable, "-c", WITHOUT_RAY, *words], capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert run.stderr.splitlines()[-1].startswith("error: run.executor: ray was asked for and is not installed.")
    assert "pip install 'expclip-cache[ray]'" in run.stderr
