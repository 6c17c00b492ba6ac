"""Signals, a full disk, a read-only folder, a lost worker: one clear last line, no partial file, no process left.

The next run resumes from the finished shards.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import time

import pytest
from harness import ROOT, extract_command, files_in, finished_shards

from expclip_cache.cache.lock import writing

pytestmark = pytest.mark.slow

KEPT = "run the same command again: finished work is kept"


@pytest.mark.parametrize(
    ("number", "group", "status", "word"),
    [(signal.SIGTERM, False, 143, "terminated"), (signal.SIGINT, True, 130, "interrupted")],
)
@pytest.mark.parametrize("workers", [0, 2])
def test_a_stopped_run_ends_at_once_and_can_be_resumed(
    zygote, uninterrupted, tmp_path, number, group, status, word, workers
):
    out = tmp_path / "out"
    after = random.Random(number).uniform(0, 1) * uninterrupted[1]
    run = zygote.extract(out, f"--workers={workers}", signal=int(number), after=after, group=group)
    if "rows, 24 wide" not in run.output:
        assert run.status == status, run.output
        assert run.last_line == f"{word}; {KEPT}"
        assert not run.hung
        assert run.to_end < 10
        assert run.left == []
        assert not list(out.glob("*.tmp"))
    assert zygote.extract(out).status == 0
    assert files_in(out) == uninterrupted[0]


def test_a_full_disk_is_reported_and_leaves_no_partial_file(zygote, uninterrupted, tmp_path):
    out = tmp_path / "out"
    sizes = {name: len(content) for name, content in uninterrupted[0].items()}
    # The second shard holds the reason why an image is unreadable, so it is larger than the first.
    limit = sizes["shard-00000.h5"] + 1
    assert limit < sizes["shard-00001.h5"]
    run = zygote.extract(out, fault={"file size limit": limit})
    assert run.status == 1
    assert f"error: {out}: shard-00001.h5 cannot be written (File too large). Free some space" in run.last_line
    assert sorted(files_in(out)) == ["manifest.arrow", "shard-00000.h5"]
    before = finished_shards(out)
    assert zygote.extract(out).status == 0
    assert files_in(out) == uninterrupted[0]
    assert before.items() <= finished_shards(out).items()


def test_a_small_file_system_that_fills_up(zygote, uninterrupted, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=36k", "tmpfs", disk]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small file system needs privileges that this machine does not give")
    try:
        run = zygote.extract(disk / "out")
        assert run.status == 1
        assert "cannot be written (No space left on device). Free some space" in run.last_line
        assert sorted(files_in(disk / "out")) == ["manifest.arrow", "shard-00000.h5", "shard-00001.h5"]
        subprocess.run(["mount", "-o", "remount,size=1m", disk], check=True)
        assert zygote.extract(disk / "out").status == 0
        assert files_in(disk / "out") == uninterrupted[0]
    finally:
        subprocess.run(["umount", disk], check=True)


@pytest.mark.parametrize("half_finished", [False, True])
def test_a_read_only_folder(zygote, uninterrupted, tmp_path, half_finished):
    out = tmp_path / "out"
    out.mkdir()
    if half_finished:
        assert zygote.extract(out).status == 0
        (out / "index.json").unlink()
        (out / "shard-00001.h5").unlink()
    before = files_in(out)
    out.chmod(0o500)
    try:
        run = zygote.extract(out, fault={"no privileges": True})
    finally:
        out.chmod(0o700)
    assert run.status == 1, run.output
    assert str(out) in run.last_line
    assert "cannot be written" in run.last_line
    assert files_in(out) == before


@pytest.mark.parametrize(
    ("how", "message"), [("dies", "died (DataLoader worker"), ("stalls", "delivered nothing for 2 s.")]
)
def test_a_lost_worker_is_reported(zygote, uninterrupted, tmp_path, how, message):
    out = tmp_path / "out"
    run = zygote.extract(out, "--workers=2", fault={"bad worker": {"image": "09.png", "how": how}})
    assert run.status == 1, run.output
    assert not run.hung
    assert run.left == []
    assert f"error: images: a decoding worker {message}" in run.last_line
    assert "finished shards are kept" in run.last_line
    assert "Traceback" not in run.output
    before = finished_shards(out)
    assert zygote.extract(out).status == 0
    assert files_in(out) == uninterrupted[0]
    assert before.items() <= finished_shards(out).items()


def test_a_second_run_is_refused_and_told_who_is_writing(zygote, uninterrupted, tmp_path):
    out = tmp_path / "out"
    with writing(out):
        run = zygote.extract(out)
    assert run.status == 1
    assert f"another extraction is writing here (process {os.getpid()} on " in run.last_line
    assert zygote.extract(out).status == 0


def test_parts_made_by_several_commands_give_the_same_bytes(zygote, uninterrupted, tmp_path):
    out = tmp_path / "out"
    with writing(out, range(2, 3)):
        run = zygote.extract(out, "--shards", "0:2")
        assert run.status == 0, run.output
        assert "1 of 3 shards are still to be made" in run.output
        assert "another extraction is writing here" in zygote.extract(out, "--shards", "1:3").last_line
    assert sorted(finished_shards(out)) == ["shard-00000.h5", "shard-00001.h5"]
    assert zygote.extract(out, "--shards", "2:3").status == 0
    assert files_in(out) == uninterrupted[0]
    assert "error: shards" in zygote.extract(tmp_path / "outside", "--shards", "2:9").last_line


def test_the_command_started_as_from_a_shell(zygote, uninterrupted, tmp_path):
    """The same without the zygote: started from scratch, stopped in the middle, resumed later."""
    out = tmp_path / "out"
    command = [sys.executable, "-m", "expclip_cache.commands.app", *extract_command(out), "--workers=1"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT / "pipeline")}
    process = subprocess.Popen(command, cwd=zygote.folder, env=environment, stderr=subprocess.PIPE, text=True)
    while process.poll() is None and not finished_shards(out):
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    _, output = process.communicate(timeout=60)
    assert process.returncode == 143, output
    assert output.strip().splitlines()[-1] == f"terminated; {KEPT}"
    assert zygote.extract(out).status == 0
    assert files_in(out) == uninterrupted[0]
