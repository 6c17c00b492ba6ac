"""A store that fails on a tenth of all calls or permanently, or whose writer is killed: no loss, no partial file."""

import json
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from test_stores import CACHE, RUN, bucket, files_in, job, model  # noqa: F401 - fixtures

from caches import make_cache
from changed_jobs import untouchable
from expclip_cache.base.addresses import ATTEMPTS, MIRROR_VARIABLE
from expclip_cache.base.errors import CacheError
from expclip_cache.base.progress import SilentReporter
from expclip_cache.cache.format import INDEX, MANIFEST, shard_name
from expclip_cache.cache.inspection import inspect_cache
from expclip_cache.cache.reader import FeatureCache
from expclip_cache.cache.stores.remote import Remote
from expclip_cache.cache.verify import verify_cache
from expclip_cache.extraction.run import run_job
from stores import FAILURES, assert_complete, retry_at_once, rows_of, visible, visible_in_flaky

KILLED = """
import os, signal, sys
from pathlib import Path

from expclip_cache.cache.stores.remote import Remote

folder, address, name, when = sys.argv[1:]
store = Remote(address)
original = Remote._tried

def tried(self, what, done, work):
    if (what, done, when) == (name, "written", "before"):
        os.kill(os.getpid(), signal.SIGKILL)
    result = original(self, what, done, work)
    if (what, done, when) == (name, "written", "after"):
        os.kill(os.getpid(), signal.SIGKILL)
    return result

Remote._tried = tried
for path in sorted(Path(folder).glob("shard-*.h5")) + [Path(folder) / "manifest.arrow", Path(folder) / "index.json"]:
    (store.folder / path.name).write_bytes(path.read_bytes())
    store.put(path.name)
"""


@pytest.fixture(autouse=True)
def mirror(tmp_path, monkeypatch):
    monkeypatch.setenv(MIRROR_VARIABLE, str(tmp_path / "mirror"))
    retry_at_once(monkeypatch)
    yield
    FAILURES.reset()


def visible_check(address):
    """Returns a function that checks what another reader could find at this moment."""

    def look():
        files = visible_in_flaky(address)
        assert_complete(files)
        if INDEX in files:
            for record in json.loads(files[INDEX])["shards"]:
                assert len(files[record["name"]]) == record["bytes"], "an index without its shards"

    return look


@pytest.mark.parametrize("seed", range(6))
def test_with_a_tenth_of_all_calls_failing_the_bytes_are_those_of_a_local_run(job, tmp_path, seed):  # noqa: F811
    address = f"flaky://{tmp_path.name}/{seed}"
    local = run_job(job, CACHE, RUN, SilentReporter())
    FAILURES.reset(0.1, seed, look=visible_check(address))
    flaky = run_job(replace(job, out=address), CACHE, RUN, SilentReporter())
    assert FAILURES.failed > 1
    np.testing.assert_array_equal(rows_of(FeatureCache(address)), rows_of(local))
    assert flaky.describe() == local.describe()
    assert (flaky.classes, flaky.shards, flaky.libraries) == (local.classes, local.shards, local.libraries)
    assert not verify_cache(address, SilentReporter()).broken
    assert inspect_cache(address)["complete"]
    FAILURES.reset()
    assert visible_in_flaky(address) == files_in(job.out)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_the_same_for_an_object_store(job, bucket, tmp_path, seed):  # noqa: F811
    address = f"flakys3://{bucket.partition('://')[2]}/{tmp_path.name}/{seed}"
    one_row_each = CACHE.model_copy(update={"shard_rows": 1})
    local = run_job(job, one_row_each, RUN, SilentReporter())
    FAILURES.reset(0.1, seed)
    run_job(replace(job, out=address), one_row_each, RUN, SilentReporter())
    np.testing.assert_array_equal(rows_of(FeatureCache(address)), rows_of(local))
    assert FAILURES.failed > 1
    FAILURES.reset()
    assert visible(address) == files_in(job.out)


def test_resuming_in_a_failing_store_encodes_no_shard_again(job, tmp_path):  # noqa: F811
    address = f"flaky://{tmp_path.name}/c"
    run_job(replace(job, out=address), CACHE, RUN, SilentReporter())
    before = visible_in_flaky(address)
    Remote(address).remove(INDEX)
    FAILURES.reset(0.1, 1, look=visible_check(address))
    run_job(untouchable(replace(job, out=address)), CACHE, RUN, SilentReporter())
    assert FAILURES.failed
    FAILURES.reset()
    assert visible_in_flaky(address) == before


@pytest.mark.parametrize("calls", [0, 3, 10, 20, 30, 40, 60])
def test_a_store_that_disappears_is_reported_and_the_next_run_resumes(job, tmp_path, calls):  # noqa: F811
    address = f"flaky://{tmp_path.name}/{calls}"
    run_job(job, CACHE, RUN, SilentReporter())
    remote = replace(job, out=address)
    FAILURES.reset(gone_after=calls, look=visible_check(address))
    with pytest.raises(CacheError, match=rf"{address}.*in {ATTEMPTS} attempts .*what was finished is kept"):
        run_job(remote, CACHE, RUN, SilentReporter())
    FAILURES.reset(look=visible_check(address))
    before = visible_in_flaky(address)
    made = [name for name in before if name.startswith("shard-")] + list(Remote(address).waiting())
    if len(set(made)) == 3:
        remote = untouchable(remote)
    run_job(remote, CACHE, RUN, SilentReporter())
    after = visible_in_flaky(address)
    assert after == files_in(job.out)
    assert all(after[name] == raw for name, raw in before.items()), "a file that was there has changed"


def test_a_permission_error_is_not_retried(job, tmp_path, monkeypatch):  # noqa: F811
    from fsspec.implementations.memory import MemoryFileSystem

    tries = []

    def put_file(self, *_, **__):
        tries.append(1)
        raise PermissionError("AccessDenied")

    monkeypatch.setattr(MemoryFileSystem, "put_file", put_file)
    with pytest.raises(CacheError, match=r"cannot be written \(PermissionError: AccessDenied\)"):
        run_job(replace(job, out=f"memory://{tmp_path.name}/c"), CACHE, RUN, SilentReporter())
    assert len(tries) == 1


@pytest.mark.slow
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("name", [shard_name(0), shard_name(2), MANIFEST, INDEX])
def test_a_writer_that_is_killed_while_it_puts_files(job, tmp_path, name, when):  # noqa: F811
    """Killed at a shard, at the manifest, or at the index, which is put last; the next run completes the cache."""
    address = f"file://{tmp_path}/remote"
    run_job(job, CACHE, RUN, SilentReporter())
    command = [sys.executable, "-c", KILLED, str(job.out), address, name, when]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    before = visible(address) if Path(tmp_path / "remote").exists() else {}
    assert_complete(before)
    assert INDEX not in before or name == INDEX
    remote = replace(job, out=address)
    if name in (MANIFEST, INDEX):
        remote = untouchable(remote)
    run_job(remote, CACHE, RUN, SilentReporter())
    assert visible(address) == files_in(job.out)
    left = [path.name for path in Path(tmp_path / "remote").iterdir() if path.is_file()]
    assert not [file for file in left if file.startswith(".")]


def test_a_reader_of_a_failing_store_gets_the_right_rows_or_an_error(tmp_path):
    """Half of all calls fail."""
    address, folder = f"flaky://{tmp_path.name}/c", make_cache(tmp_path / "c", bad=(5,))
    store = Remote(address)
    for path in folder.iterdir():
        (store.folder / path.name).write_bytes(path.read_bytes())
        store.put(path.name)
    expected, successes = rows_of(FeatureCache(folder)), 0
    for seed in range(20):
        FAILURES.reset(0.5, seed)
        try:
            found = rows_of(FeatureCache(address, mirror=tmp_path / f"mirror-{seed}"))
        except CacheError:
            continue
        np.testing.assert_array_equal(found, expected)
        successes += 1
    assert successes
