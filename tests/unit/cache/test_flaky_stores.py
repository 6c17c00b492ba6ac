"""A store that fails on a tenth of all calls or for good, or whose writer is killed: nothing lost, nothing partial."""

import json
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from test_stores import CACHE, RUN, bucket, contents, job, model  # noqa: F401 - fixtures

from caches import make_cache
from expclip_cache.base.errors import CacheError
from expclip_cache.base.progress import SilentReporter
from expclip_cache.cache.format import INDEX, MANIFEST, shard_name
from expclip_cache.cache.inspection import inspect_cache
from expclip_cache.cache.reader import FeatureCache
from expclip_cache.cache.stores.remote import ATTEMPTS, MIRROR_VARIABLE, Remote
from expclip_cache.cache.verify import verify_cache
from expclip_cache.extraction.run import run_job
from stores import TROUBLE, assert_whole, no_waiting, rows_of, visible, visible_in_flaky

KILLED = """
import os, signal, sys
from pathlib import Path
from pipeline.shards import remote
from expclip_cache.cache.stores.remote import Remote

folder, address, name, when = sys.argv[1:]
store = Remote(address)
one = Remote._tried

def tried(self, what, done, work):
    if (what, done, when) == (name, "written", "before"):
        os.kill(os.getpid(), signal.SIGKILL)
    result = one(self, what, done, work)
    if (what, done, when) == (name, "written", "after"):
        os.kill(os.getpid(), signal.SIGKILL)
    return result

Remote._tried = tried
for path in sorted(Path(folder).glob("shard-*.h5")) + [Path(folder) / "manifest.jsonl", Path(folder) / "index.json"]:
    (store.folder / path.name).write_bytes(path.read_bytes())
    store.put(path.name)
"""


@pytest.fixture(autouse=True)
def mirror(tmp_path, monkeypatch):
    monkeypatch.setenv(MIRROR_VARIABLE, str(tmp_path / "mirror"))
    no_waiting(monkeypatch)
    yield
    TROUBLE.reset()


def look_at(address):
    """What any other reader could find at this moment."""

    def look():
        files = visible_in_flaky(address)
        assert_whole(files)
        if INDEX in files:
            for record in json.loads(files[INDEX])["shards"]:
                assert len(files[record["name"]]) == record["bytes"], "an index without its shards"

    return look


@pytest.mark.parametrize("seed", range(6))
def test_a_tenth_of_all_calls_fails_and_the_bits_are_those_of_a_local_run(job, tmp_path, seed):  # noqa: F811
    address = f"flaky://{tmp_path.name}/{seed}"
    local = run_job(job, CACHE, RUN, SilentReporter())
    TROUBLE.reset(0.1, seed, look=look_at(address))
    there = run_job(replace(job, out=address), CACHE, RUN, SilentReporter())
    assert TROUBLE.failed > 1
    np.testing.assert_array_equal(rows_of(FeatureCache(address)), rows_of(local))
    assert there.index == local.index
    assert not verify_cache(address, SilentReporter()).broken
    assert inspect_cache(address)["complete"]
    TROUBLE.reset()
    assert visible_in_flaky(address) == contents(job.out)


@pytest.mark.parametrize("seed", range(3))
def test_the_same_of_an_object_store(job, bucket, tmp_path, seed):  # noqa: F811
    address = f"flakys3://{bucket.partition('://')[2]}/{tmp_path.name}/{seed}"
    cut = CACHE.model_copy(update={"shard_rows": 1})
    local = run_job(job, cut, RUN, SilentReporter())
    TROUBLE.reset(0.1, seed)
    run_job(replace(job, out=address), cut, RUN, SilentReporter())
    np.testing.assert_array_equal(rows_of(FeatureCache(address)), rows_of(local))
    assert TROUBLE.failed > 1
    TROUBLE.reset()
    assert visible(address) == contents(job.out)


def test_resuming_in_a_store_that_fails_makes_no_shard_again(job, tmp_path):  # noqa: F811
    address = f"flaky://{tmp_path.name}/c"
    run_job(replace(job, out=address), CACHE, RUN, SilentReporter())
    whole = visible_in_flaky(address)
    Remote(address).remove(INDEX)
    TROUBLE.reset(0.1, 1, look=look_at(address))
    refuse = pytest.fail
    run_job(replace(job, out=address, root=refuse, load=refuse), CACHE, RUN, SilentReporter())
    assert TROUBLE.failed
    TROUBLE.reset()
    assert visible_in_flaky(address) == whole


@pytest.mark.parametrize("calls", [0, 3, 10, 20, 30, 40, 60])
def test_a_store_that_is_gone_is_said_to_be_and_the_next_run_goes_on(job, tmp_path, calls):  # noqa: F811
    address = f"flaky://{tmp_path.name}/{calls}"
    run_job(job, CACHE, RUN, SilentReporter())
    there = replace(job, out=address)
    TROUBLE.reset(gone_after=calls, look=look_at(address))
    with pytest.raises(CacheError, match=rf"{address}.*in {ATTEMPTS} attempts .*what was finished is kept"):
        run_job(there, CACHE, RUN, SilentReporter())
    TROUBLE.reset(look=look_at(address))
    before = visible_in_flaky(address)
    made = [name for name in before if name.startswith("shard-")] + list(Remote(address).waiting())
    if len(set(made)) == 3:
        there = replace(there, load=pytest.fail, root=pytest.fail)
    run_job(there, CACHE, RUN, SilentReporter())
    after = visible_in_flaky(address)
    assert after == contents(job.out)
    assert all(after[name] == raw for name, raw in before.items()), "what was there has changed"


def test_what_cannot_be_allowed_is_not_tried_again(job, tmp_path, monkeypatch):  # noqa: F811
    from fsspec.implementations.memory import MemoryFileSystem

    tries = []

    def put_file(self, *_, **__):
        tries.append(1)
        raise PermissionError("AccessDenied")

    monkeypatch.setattr(MemoryFileSystem, "put_file", put_file)
    with pytest.raises(CacheError, match=r"cannot be written \(PermissionError: AccessDenied\)"):
        run_job(replace(job, out=f"memory://{tmp_path.name}/c"), CACHE, RUN, SilentReporter())
    assert len(tries) == 1


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("name", [shard_name(0), shard_name(2), MANIFEST, INDEX])
def test_a_writer_killed_between_its_puts(job, tmp_path, name, when):  # noqa: F811
    """Killed as it puts a shard, the manifest, or the index after all shards; the next run completes the cache."""
    address = f"file://{tmp_path}/there"
    run_job(job, CACHE, RUN, SilentReporter())
    command = [sys.executable, "-c", KILLED, str(job.out), address, name, when]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    before = visible(address) if Path(tmp_path / "there").exists() else {}
    assert_whole(before)
    assert INDEX not in before or name == INDEX
    there = replace(job, out=address)
    if name in (MANIFEST, INDEX):
        there = replace(there, load=pytest.fail, root=pytest.fail)
    run_job(there, CACHE, RUN, SilentReporter())
    assert visible(address) == contents(job.out)
    left = [path.name for path in Path(tmp_path / "there").iterdir() if path.is_file()]
    assert not [file for file in left if file.startswith(".")]


def test_a_reader_in_trouble_gets_right_rows_or_an_error(tmp_path):
    """Even where a third of the calls fails: an answer, if there is one, is right."""
    address, folder = f"flaky://{tmp_path.name}/c", make_cache(tmp_path / "c", bad=(5,))
    store = Remote(address)
    for path in folder.iterdir():
        (store.folder / path.name).write_bytes(path.read_bytes())
        store.put(path.name)
    expected, right = rows_of(FeatureCache(folder)), 0
    for seed in range(20):
        TROUBLE.reset(0.5, seed)
        try:
            found = rows_of(FeatureCache(address, mirror=tmp_path / f"mirror-{seed}"))
        except CacheError:
            continue
        np.testing.assert_array_equal(found, expected)
        right += 1
    assert right
