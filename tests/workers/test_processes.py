"""Several processes of one machine: all is done once, whoever dies, and errors arrive as they were raised."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from expclip_cache.base.errors import DataError, LostWorkerError
from expclip_cache.workers.processes import run_processes
from watching import processes_of, wait_for
from works import Heard, WriteFiles, all_done


def run(folder, trouble=None, count=12, processes=2):
    heard = Heard()
    run_processes(WriteFiles(folder, trouble or {}), range(count), ["cpu"] * processes, heard)
    return heard


def test_every_number_is_done_once(tmp_path):
    heard = run(tmp_path)
    assert all_done(heard, 12)
    assert heard.places == ["2 processes, the first on a cpu"]
    assert heard.lines == []
    assert len(list(tmp_path.iterdir())) == 12
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize("trouble", ["dies once", "loses once"])
def test_another_worker_does_what_a_lost_one_held(tmp_path, trouble):
    heard = run(tmp_path, {4: trouble})
    assert all_done(heard, 12)
    assert 4 in heard.gone
    how = "killed by SIGKILL" if trouble.startswith("dies") else "a decoding worker died"
    assert len(heard.lines) == 1
    assert how in heard.lines[0]
    assert heard.lines[0].endswith("Another takes its place.")


@pytest.mark.parametrize("trouble", ["dies", "loses"])
def test_a_number_that_kills_every_worker_is_named(tmp_path, trouble):
    how = "killed by SIGKILL" if trouble == "dies" else "a decoding worker died"
    with pytest.raises(LostWorkerError, match=rf"^number 4: 3 workers died over it, .*{how}(.|\n)*is kept"):
        run(tmp_path, {4: trouble})
    assert not list(tmp_path.glob("4.*"))
    assert list(tmp_path.glob("0.*"))
    assert multiprocessing.active_children() == []


def test_workers_that_never_start(tmp_path):
    with pytest.raises(LostWorkerError, match="3 workers died before they took any work"):
        run(tmp_path, {"start": True})


def test_a_users_error_ends_the_job_as_it_was_raised(tmp_path):
    start = time.monotonic()
    with pytest.raises(DataError, match=r"^picture 'a\.png' cannot be read\. Mend it\.$"):
        run(tmp_path, {3: "refuses"})
    assert time.monotonic() - start < 60
    assert multiprocessing.active_children() == []


def test_a_bug_keeps_its_traceback(tmp_path):
    with pytest.raises(RuntimeError, match=r"in stumbles\n(.|\n)*ZeroDivisionError: a bug"):
        run(tmp_path, {3: "stumbles"})


DRIVER = """
import sys
from pathlib import Path
from works import Heard, WriteFiles
from expclip_cache.base.console import orderly
from expclip_cache.workers.processes import run_processes

if __name__ == "__main__":
    with orderly():
        run_processes(WriteFiles(Path(sys.argv[1]), {5: "sleeps", 6: "sleeps"}), range(12), ["cpu"] * 2, Heard())
"""


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks into /proc for processes that are left")
@pytest.mark.parametrize("everyone", [False, True])
@pytest.mark.parametrize(("stop", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_no_worker_outlives_the_driver(tmp_path, stop, status, everyone):
    script = tmp_path / "driver.py"
    script.write_text(DRIVER)
    (tmp_path / "files").mkdir()
    run = subprocess.Popen(
        [sys.executable, script, tmp_path / "files"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    wait_for(lambda: len(list((tmp_path / "files").iterdir())) >= 5)
    start = time.monotonic()
    if everyone:
        os.killpg(run.pid, stop)
    else:
        run.send_signal(stop)
    _, words = run.communicate()
    assert run.returncode == status
    assert "Traceback" not in words
    assert time.monotonic() - start < 60
    wait_for(lambda: not processes_of(run.pid))
