"""Several processes of one machine: all is done once, whoever dies, and errors arrive as they were raised."""

import multiprocessing
import time

import pytest
from works import Heard, WriteFiles, all_done

from pipeline.errors import DataError, LostWorkerError
from pipeline.executors.processes import run_processes


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
