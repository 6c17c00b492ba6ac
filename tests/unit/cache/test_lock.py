import multiprocessing
import os
import signal
import subprocess
import sys

import pytest

from expclip_cache.base.errors import CacheError
from expclip_cache.cache.lock import writing

HOLD = """
import sys, time
from pathlib import Path
from expclip_cache.cache.lock import writing
with writing(Path(sys.argv[1]), range(*map(int, sys.argv[2:]))):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path), "0", "4"], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_second_writer_is_refused_and_told_who_holds_the_lock(tmp_path, holder):
    with pytest.raises(CacheError, match=f"process {holder.pid} on .* since 20"), writing(tmp_path, range(4)):
        pass


def test_other_shards_can_be_locked_but_overlapping_ones_cannot(tmp_path, holder):
    with writing(tmp_path, range(4, 8)):
        pass
    with pytest.raises(CacheError, match=f"process {holder.pid}"), writing(tmp_path, range(3, 8)):
        pass


def test_a_locked_part_excludes_a_lock_on_the_whole_cache(tmp_path, holder):
    with pytest.raises(CacheError, match=f"process {holder.pid}"), writing(tmp_path):
        pass


def test_a_lock_on_the_whole_cache_excludes_every_part(tmp_path):
    probe = [sys.executable, "-c", HOLD.replace("time.sleep(60)", "pass"), str(tmp_path), "700", "701"]
    with writing(tmp_path) as claim, claim.index():
        refused = subprocess.run(probe, capture_output=True, text=True, check=False)
    assert f"process {os.getpid()} on" in refused.stderr
    assert subprocess.run(probe, capture_output=True, text=True, check=False).stdout == "held\n"


@pytest.mark.slow
def test_only_one_part_at_a_time_may_write_the_index(tmp_path):
    code = HOLD.replace(
        "    print", "    pass\nwith writing(Path(sys.argv[1]), range(9, 10)) as claim, claim.index():\n    print"
    )
    with writing(tmp_path, range(1)) as claim:
        with claim.index():
            other = subprocess.Popen(
                [sys.executable, "-c", code.replace("60", "0"), str(tmp_path), "5", "6"],
                stdout=subprocess.PIPE,
                text=True,
            )
            with pytest.raises(subprocess.TimeoutExpired):
                other.wait(timeout=2)
        assert other.communicate(timeout=30)[0] == "held\n"


def test_kill_9_releases_the_lock(tmp_path, holder):
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    with writing(tmp_path, range(4)):
        pass


def test_a_forked_worker_does_not_keep_the_lock(tmp_path):
    context = multiprocessing.get_context("fork")
    stop = context.Event()
    with writing(tmp_path, range(4)):
        worker = context.Process(target=stop.wait)
        worker.start()
    try:
        probe = [sys.executable, "-c", HOLD.replace("time.sleep(60)", "pass"), str(tmp_path), "0", "4"]
        assert subprocess.run(probe, capture_output=True, text=True, check=False).stdout == "held\n"
    finally:
        stop.set()
        worker.join()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(CacheError, match="cannot be written to"), writing(tmp_path / "new", range(4)):
        pass


def test_a_file_where_the_folder_should_be(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CacheError, match="cannot be written to"), writing(tmp_path / "file", range(4)):
        pass


def make_link(path, kind):
    """Put something in a file's place that leads elsewhere; returns that elsewhere, or None for a FIFO."""
    victim = path.parent.parent / "victim"
    victim.write_text("precious")
    match kind:
        case "link":
            path.symlink_to(victim)
        case "dangling link":
            victim.unlink()
            path.symlink_to(victim)
        case "hard link":
            path.hardlink_to(victim)
        case "FIFO":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
    return victim


@pytest.mark.parametrize("kind", ["link", "dangling link", "hard link", "FIFO", "folder"])
def test_a_lock_file_that_leads_elsewhere_is_refused_and_nothing_elsewhere_is_touched(tmp_path, kind):
    folder = tmp_path / "cache"
    folder.mkdir()
    victim = make_link(folder / ".lock", kind)
    there = victim.exists()
    with pytest.raises(CacheError, match=r"\(\.lock is a link or not a plain file\)"), writing(folder, range(4)):
        pass
    assert victim.exists() == there
    assert not there or victim.read_text() == "precious"
