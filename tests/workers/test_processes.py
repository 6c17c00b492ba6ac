"""Workers as processes: every task is done once, whichever worker dies, and errors arrive as they were raised."""

import multiprocessing
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from expclip_cache.base import DataError, LostWorkerError
from expclip_cache.workers import processes
from expclip_cache.workers.processes import run_in_processes
from file_tasks import START, Recorder, WriteFiles, all_done
from live_processes import processes_of, wait_for


def run(folder, failures=None, count=12):
    recorder = Recorder()
    run_in_processes(WriteFiles(folder, failures or {}), range(count), ["cpu"] * 2, recorder)
    return recorder


def test_every_task_is_done_once(tmp_path):
    recorder = run(tmp_path)
    assert all_done(recorder, 12)
    assert recorder.places == ["2 processes, the first on a cpu"]
    assert recorder.lines == []
    assert len(list(tmp_path.iterdir())) == 12
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize(
    ("failure", "reason"), [("die once", "killed by SIGKILL"), ("lost-worker once", "a decoding worker died")]
)
def test_tasks_of_a_dead_worker_are_requeued(tmp_path, failure, reason):
    recorder = run(tmp_path, {4: failure})
    assert all_done(recorder, 12)
    assert 4 in recorder.lost_tasks
    assert len(recorder.lines) == 1
    assert reason in recorder.lines[0]
    assert recorder.lines[0].endswith("Another process replaces it.")


@pytest.mark.parametrize(
    ("failure", "reason"), [("die", "killed by SIGKILL"), ("lost-worker", "a decoding worker died")]
)
def test_a_poison_task_is_named(tmp_path, failure, reason):
    with pytest.raises(LostWorkerError, match=rf"^task 4: 3 workers died over it, .*{reason}(.|\n)*is kept"):
        run(tmp_path, {4: failure})
    assert not list(tmp_path.glob("4.*"))
    assert list(tmp_path.glob("0.*"))
    assert multiprocessing.active_children() == []


def test_workers_that_never_start_end_the_job(tmp_path):
    with pytest.raises(LostWorkerError, match=r"3 workers in a row died before they took a task\..*SIGKILL"):
        run(tmp_path, {START: "die"})


def test_a_users_error_ends_the_job_as_it_was_raised(tmp_path):
    start = time.monotonic()
    with pytest.raises(DataError, match=r"^image 'a\.png' cannot be read\. Repair it\.$"):
        run(tmp_path, {3: "data-error"})
    assert time.monotonic() - start < 60
    assert multiprocessing.active_children() == []


def test_a_bug_keeps_its_traceback(tmp_path):
    with pytest.raises(RuntimeError, match=r"in raise_bug\n(.|\n)*ZeroDivisionError: a bug"):
        run(tmp_path, {3: "bug"})


@pytest.mark.slow
def test_a_stopped_process_is_named_and_replaced(tmp_path, monkeypatch):
    monkeypatch.setattr(processes, "BEAT_SECONDS", 0.2)
    monkeypatch.setattr(processes, "SILENT_SECONDS", 1.0)
    monkeypatch.setattr(processes, "LOST_SECONDS", 3.0)
    recorder = run(tmp_path, {4: "stop once"})
    assert all_done(recorder, 12)
    named, replaced = recorder.lines
    assert re.match(r"worker \d on cpu \(process \d+\) has not answered for 1 s: .* 3 s it is killed", named)
    assert re.match(r"worker \d on cpu died \(killed by SIGKILL\)\. Another process replaces it\.$", replaced)


@pytest.mark.slow
def test_a_process_that_hangs_is_named_and_replaced_once_it_is_killed(tmp_path, monkeypatch):
    """Its other threads are alive. The worker that has nothing left to do meanwhile is not named."""
    monkeypatch.setattr(processes, "UNMOVED_SECONDS", 3.0)

    class Killing(Recorder):
        def say(self, line):
            super().say(line)
            if command := re.search(r"`kill -9 (\d+)` has it replaced", line):
                os.kill(int(command[1]), signal.SIGKILL)

    recorder = Killing()
    run_in_processes(WriteFiles(tmp_path, {4: "sleep once"}), range(12), ["cpu"] * 2, recorder)
    assert all_done(recorder, 12)
    assert [re.sub(r"\d+", "N", line)[:39] for line in recorder.lines] == [
        "worker N on cpu (process N) has been at",
        "worker N on cpu died (killed by SIGKILL",
    ]


SCRIPT = """
import sys
from pathlib import Path
from file_tasks import Recorder, WriteFiles
from expclip_cache.base import handle_errors
from expclip_cache.workers.processes import run_in_processes

if __name__ == "__main__":
    with handle_errors():
        run_in_processes(WriteFiles(Path(sys.argv[1]), {5: "sleep", 6: "sleep"}), range(12), ["cpu"] * 2, Recorder())
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="lists the live processes with /proc")
@pytest.mark.parametrize("whole_group", [False, True])
@pytest.mark.parametrize(("stop", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_no_worker_outlives_the_coordinator(tmp_path, stop, status, whole_group):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
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
    if whole_group:
        os.killpg(run.pid, stop)
    else:
        run.send_signal(stop)
    _, output = run.communicate()
    assert run.returncode == status
    assert "Traceback" not in output
    assert time.monotonic() - start < 60
    wait_for(lambda: not processes_of(run.pid))
