"""Caches at addresses: the same bytes as in a folder, read through a mirror, never a partial file."""

import json
import math
import os
import pickle
import socket
import subprocess
import sys
import time
import uuid
from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import fsspec
import numpy as np
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from PIL import Image
from typer.testing import CliRunner

from caches import make_cache
from changed_jobs import refuse, untouchable, with_encoder
from expclip_cache.base.addresses import MIRROR_VARIABLE
from expclip_cache.base.errors import CacheError
from expclip_cache.base.progress import SilentReporter
from expclip_cache.cache.format import INDEX, MANIFEST, shard_name
from expclip_cache.cache.inspection import inspect_cache
from expclip_cache.cache.reader import FeatureCache
from expclip_cache.cache.settings import CacheSettings
from expclip_cache.cache.stores import remote
from expclip_cache.cache.stores.folder import Folder
from expclip_cache.cache.stores.lease import LEASES, LENGTH, _sign
from expclip_cache.cache.stores.remote import Remote
from expclip_cache.cache.stores.store import store_at
from expclip_cache.cache.verify import repair, verify_cache
from expclip_cache.cache.writer import CacheWriter
from expclip_cache.commands.app import app
from expclip_cache.datasets.hashing import hash_listing
from expclip_cache.datasets.listing import ListedRow, Listing
from expclip_cache.extraction.jobs import clip_job
from expclip_cache.extraction.run import run_job
from expclip_cache.workers.settings import RunSettings
from s3_server import s3_server
from stores import assert_complete, retry_at_once, rows_of, visible
from tiny_encoders import write_clip

CACHE = CacheSettings(shard_rows=4, dtype="float32")
RUN = RunSettings(device="cpu", batch_size=4, workers=0)


@pytest.fixture(autouse=True)
def mirror(tmp_path, monkeypatch):
    monkeypatch.setenv(MIRROR_VARIABLE, str(tmp_path / "mirror"))
    retry_at_once(monkeypatch)
    return tmp_path / "mirror"


@pytest.fixture(scope="module")
def bucket():
    """Address of a bucket on an S3 server that runs on this machine."""
    with s3_server():
        yield "s3://bucket"


@pytest.fixture(params=["memory", "file", pytest.param("s3", marks=pytest.mark.slow)])
def address(request, tmp_path):
    """Address of a cache that does not exist yet."""
    if request.param == "s3":
        return f"{request.getfixturevalue('bucket')}/{tmp_path.name}/features"
    return {"memory": f"memory://{tmp_path.name}/features", "file": f"file://{tmp_path}/remote/features"}[request.param]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture
def job(model, tmp_path):
    """Ten images, one of them unreadable; their cache goes to the folder `local`."""
    folder = tmp_path / "images"
    folder.mkdir()
    random = np.random.default_rng(0)
    for number in range(10):
        Image.fromarray(random.integers(0, 256, (30, 24, 3), dtype=np.uint8)).save(folder / f"{number}.png")
    (folder / "5.png").write_text("not an image")
    rows = tuple(ListedRow(f"{k}.png", k % 2, (f"{k}.png",)) for k in range(10))
    manifest = hash_listing("images", folder, Listing(rows, ("x", "y")))
    return clip_job(manifest, lambda: folder, model, tmp_path / "local")


def files_in(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != ".lock"}


def copy_to(folder: Path, address: str) -> None:
    """Copy a cache to an address without our own code."""
    filesystem, root = fsspec.url_to_fs(address)
    filesystem.makedirs(root, exist_ok=True)
    for path in folder.iterdir():
        filesystem.put_file(str(path), f"{root}/{path.name}")


def test_an_extraction_to_an_address_gives_the_same_bytes_as_to_a_folder(job, address):
    local = run_job(job, CACHE, RUN, SilentReporter())
    remote = run_job(replace(job, out=address), CACHE, RUN, SilentReporter())
    assert visible(address) == files_in(job.out)
    assert remote.describe() == local.describe()
    assert (remote.classes, remote.shards, remote.libraries) == (local.classes, local.shards, local.libraries)
    np.testing.assert_array_equal(rows_of(remote), rows_of(local))
    unsent = Remote(address).folder
    assert [path.name for path in unsent.rglob("*") if path.is_file()] == [".lock"], (
        "a file that was put is deleted here"
    )
    assert not Remote(address).leases()


def test_a_complete_cache_at_an_address_needs_neither_images_nor_encoder(job, address):
    run_job(replace(job, out=address), CACHE, RUN, SilentReporter())
    before = visible(address)
    run_job(untouchable(replace(job, out=address)), CACHE, RUN, SilentReporter())
    assert visible(address) == before


def test_only_missing_shards_are_encoded_and_the_others_are_proved_by_a_few_short_reads(job, address, monkeypatch):
    run_job(replace(job, out=address), CACHE, RUN, SilentReporter())
    before = visible(address)
    store = Remote(address)
    for name in (INDEX, shard_name(2)):
        store.remove(name)
    read, written = [], []
    original = Remote.read
    monkeypatch.setattr(
        Remote,
        "read",
        lambda self, name, start=0, end=None: read.append((name, start)) or original(self, name, start, end),
    )
    put = Remote.put
    monkeypatch.setattr(Remote, "put", lambda self, name: written.append(name) or put(self, name))
    monkeypatch.setattr(Remote, "_fetch", refuse)
    run_job(replace(job, out=address), CACHE, RUN, SilentReporter())
    assert visible(address) == before
    assert [name for name in written if not name.startswith(".")] == [shard_name(2), INDEX]
    headers = Counter(name for name, start in read if name.startswith("shard-") and start == 0)
    # Once to find them, and all of them once more before the index is put.
    assert headers == {shard_name(0): 2, shard_name(1): 2, shard_name(2): 1}


def test_a_shard_that_was_written_but_not_put_is_put_and_not_encoded_again(job, address):
    run_job(job, CACHE, RUN, SilentReporter())
    copy_to(job.out, address)
    store = Remote(address)
    for name in (INDEX, shard_name(1)):
        store.remove(name)
    (store.folder / shard_name(1)).write_bytes((job.out / shard_name(1)).read_bytes())
    run_job(untouchable(replace(job, out=address)), CACHE, RUN, SilentReporter())
    assert visible(address) == files_in(job.out)
    assert not store.waiting()


def test_a_damaged_shard_that_was_not_put_is_encoded_again(job, address):
    run_job(job, CACHE, RUN, SilentReporter())
    store = Remote(address)
    (store.folder / shard_name(1)).write_bytes((job.out / shard_name(1)).read_bytes()[:-1])
    run_job(replace(job, out=address), CACHE, RUN, SilentReporter())
    assert visible(address) == files_in(job.out)


def test_other_settings_at_an_address_are_refused_or_replaced(job, address, model):
    run_job(replace(job, out=address), CACHE, RUN, SilentReporter())
    before = visible(address)
    other = with_encoder(replace(job, out=address), settings={**job.encoder.settings, "preprocess": "clip"})
    with pytest.raises(CacheError, match=r"preprocess differs(.|\n)*on_mismatch: replace"):
        run_job(other, CACHE, RUN, SilentReporter())
    assert visible(address) == before
    run_job(other, CACHE.model_copy(update={"on_mismatch": "replace"}), RUN, SilentReporter())
    assert FeatureCache(address).identity.settings["preprocess"] == "clip"


def test_parts_from_several_machines_become_one_cache(job, address, tmp_path, monkeypatch):
    complete = run_job(job, CACHE, RUN, SilentReporter())
    for machine, part in enumerate([range(2), range(2, 3)]):
        monkeypatch.setenv(MIRROR_VARIABLE, str(tmp_path / f"machine-{machine}"))
        last = run_job(replace(job, out=address), CACHE, RUN, SilentReporter(), part=part)
        assert (last is None) == (machine == 0)
    assert visible(address) == files_in(job.out)
    assert (last.describe(), last.shards) == (complete.describe(), complete.shards)


@pytest.mark.slow
def test_each_of_several_processes_puts_its_own_shards(job, tmp_path):
    """A worker process gets only the address."""
    address = f"file://{tmp_path}/remote"
    run_job(job, CACHE, RUN, SilentReporter())
    run_job(replace(job, out=address), CACHE, RUN.model_copy(update={"processes": 2}), SilentReporter())
    assert visible(address) == files_in(job.out)
    assert not Remote(address).waiting()


def test_a_reader_mirrors_only_what_it_uses(tmp_path, address, mirror):
    local = make_cache(tmp_path / "c", bad=(5,))
    copy_to(local, address)
    cache = FeatureCache(address)
    assert str(cache.store) == address
    assert cache[np.array([9, 8])][:, 0].tolist() == [9, 8]
    kept = [path for path in mirror.rglob("*") if path.is_file()]
    assert [path.name for path in kept] == [shard_name(2)]
    assert kept[0].read_bytes() == (local / shard_name(2)).read_bytes()
    with pytest.raises(CacheError, match="row 5 has no features"):
        cache[np.array([5])]
    for number in (0, 2):
        Remote(address).remove(shard_name(number))
    assert FeatureCache(address)[np.array([9])][0, 0] == 9, "the copy in the mirror is used"
    with pytest.raises(CacheError, match=rf"{shard_name(0)}.*missing"):
        cache[np.array([2])]
    other = FeatureCache(address, mirror=tmp_path / "elsewhere")
    assert other[4][0] == 4
    assert list((tmp_path / "elsewhere").rglob(shard_name(1)))


@pytest.mark.parametrize("how", ["flipped bit", "truncated", "of another cache", "a folder"])
def test_a_mirrored_shard_that_is_not_the_recorded_one_is_fetched_again(tmp_path, mirror, how):
    address = f"memory://{tmp_path.name}/c"
    local = make_cache(tmp_path / "c")
    copy_to(local, address)
    FeatureCache(address)[np.array([0])]
    copy = next(mirror.rglob(shard_name(0)))
    raw = bytearray(copy.read_bytes())
    if how == "flipped bit":
        raw[-40] ^= 1
    if how == "of another cache":
        raw = (make_cache(tmp_path / "d", bad=(1,)) / shard_name(0)).read_bytes()
    copy.unlink()
    if how == "a folder":
        copy.mkdir()
        with pytest.raises(CacheError, match="cannot be written"):
            FeatureCache(address)[np.array([0])]
        return
    copy.write_bytes(raw[: 5000 if how == "truncated" else None])
    assert FeatureCache(address)[np.array([3])][0, 0] == 3
    assert copy.read_bytes() == (local / shard_name(0)).read_bytes()


def test_a_shard_that_is_damaged_in_the_store_is_refused_and_not_mirrored(tmp_path, address, mirror):
    local = make_cache(tmp_path / "c")
    raw = bytearray((local / shard_name(0)).read_bytes())
    raw[-40] ^= 1
    (local / shard_name(0)).write_bytes(raw)
    copy_to(local, address)
    with pytest.raises(CacheError, match=rf"{address}/{shard_name(0)}: the content does not match its checksum"):
        FeatureCache(address)[np.array([0])]
    assert not [path for path in mirror.rglob("*") if path.is_file()]
    found, deleted = repair(address, SilentReporter())
    assert {f.part: f.problem for f in found.broken} == {
        shard_name(0): "the content does not match its checksum: the file is damaged.",
        "all rows": "4 of 10 rows are not in exactly one intact shard, from row 0 on",
    }
    assert deleted == [INDEX, shard_name(0)]
    assert sorted(visible(address)) == [shard_name(1), shard_name(2)]


def test_the_commands_accept_addresses(job, address):
    images = str(job.root())
    first = CliRunner().invoke(app, ["extract", images, address, "--shard-rows", "4", "--workers", "0"])
    assert first.exit_code == 0, first.output
    verified = CliRunner().invoke(app, ["verify", address, "--images", images])
    assert verified.stdout.splitlines()[-1] == f"{address}: intact"
    found = json.loads(CliRunner().invoke(app, ["inspect", address, "--json"]).stdout)
    assert (found["folder"], found["complete"], found["rows"], found["shards"]) == (address, True, 10, 3)
    assert found == inspect_cache(address)


def test_a_temporary_file_of_a_killed_run_is_removed(job, tmp_path):
    address = f"file://{tmp_path}/remote"
    (tmp_path / "remote").mkdir()
    (tmp_path / "remote" / f".{shard_name(1)}.77.abcd.tmp").write_bytes(b"half")
    run_job(replace(job, out=address), CACHE, RUN, SilentReporter())
    assert sorted(path.name for path in (tmp_path / "remote").iterdir() if path.is_file()) == [
        INDEX,
        MANIFEST,
        *map(shard_name, range(3)),
    ]


def write_lease(address: str, **change) -> None:
    """Write the lease of another machine."""
    filesystem, root = fsspec.url_to_fs(address)
    now = time.time()
    lease = {"pid": 7, "host": "far-away", "started": now - 60, "signed": now - 20, "shards": [0, 1 << 40]} | change
    filesystem.makedirs(f"{root}/.leases", exist_ok=True)
    filesystem.pipe_file(f"{root}/.leases/other.json", json.dumps(lease).encode())


def test_a_second_extraction_elsewhere_is_refused_and_told_who_is_writing(job, address):
    write_lease(address)
    with pytest.raises(CacheError, match=r"another extraction is writing here \(process 7 on far-away since 20"):
        run_job(replace(job, out=address), CACHE, RUN, SilentReporter())
    assert not visible(address)
    assert Remote(address).leases() == ["other.json"]


@pytest.mark.parametrize("away", [-301, 301, 1e9, math.inf, math.nan])
def test_a_lease_signed_long_ago_or_in_the_future_is_taken_over(job, address, away):
    write_lease(address, signed=time.time() + away)
    assert run_job(replace(job, out=address), CACHE, RUN, SilentReporter())
    assert not Remote(address).leases()


@pytest.mark.parametrize(
    "change",
    [{"started": 1e300}, {"started": "soon"}, {"pid": 1 << 80, "host": socket.gethostname()}, {"shards": [0]}],
)
def test_nonsense_is_no_lease(job, change):
    address = f"memory://{uuid.uuid4()}"
    write_lease(address, **change)
    assert run_job(replace(job, out=address), CACHE, RUN, SilentReporter())
    fsspec.filesystem("memory").pipe_file(f"{address}/.leases/other.json", b"[" * 100_000)
    assert run_job(replace(job, out=address), CACHE, RUN, SilentReporter())


@pytest.mark.parametrize("damaged", [False, True])
def test_a_checksum_that_differs_from_what_was_put_has_every_byte_compared(job, monkeypatch, damaged):
    """With some kinds of encryption, what S3 states only looks like an MD5."""
    address = f"memory://{uuid.uuid4()}"
    info, put = MemoryFileSystem.info, MemoryFileSystem.put_file

    def with_another_checksum(self, path, **options):
        return info(self, path, **options) | {"ETag": '"00000000000000000000000000000000"'}

    def put_damaged(self, local, path, **options):
        put(self, local, path, **options)
        raw = bytearray(self.cat_file(path))
        raw[len(raw) // 2] ^= damaged
        self.pipe_file(path, bytes(raw))

    monkeypatch.setattr(MemoryFileSystem, "info", with_another_checksum)
    monkeypatch.setattr(MemoryFileSystem, "put_file", put_damaged)
    monkeypatch.setattr(remote, "PROBE", 1 << 8)
    store = store_at(address)
    (store.folder / shard_name(0)).parent.mkdir(parents=True, exist_ok=True)
    content = np.random.default_rng(0).bytes(10_000)
    (store.folder / shard_name(0)).write_bytes(content)
    if damaged:
        with pytest.raises(CacheError, match="the bytes that arrived are not those that were written"):
            store.put(shard_name(0))
        assert (store.folder / shard_name(0)).read_bytes() == content
    else:
        store.put(shard_name(0))
        assert visible(address) == {shard_name(0): content}


def test_the_lease_of_a_process_of_this_machine_ends_with_it(job, address):
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        gone.wait()
    write_lease(address, host=socket.gethostname(), pid=gone.pid)
    assert run_job(replace(job, out=address), CACHE, RUN, SilentReporter())
    write_lease(address, host=socket.gethostname(), pid=os.getppid())
    with pytest.raises(CacheError, match=f"process {os.getppid()} on"):
        run_job(replace(job, out=address), CACHE, RUN, SilentReporter())


def test_a_lease_on_other_shards_does_not_matter(job, address):
    write_lease(address, shards=[2, 3])
    run_job(replace(job, out=address), CACHE, RUN, SilentReporter(), part=range(2))
    with pytest.raises(CacheError, match="far-away"):
        run_job(replace(job, out=address), CACHE, RUN, SilentReporter(), part=range(1, 3))


def test_every_signature_of_a_lease_is_as_long_as_the_last(address, monkeypatch):
    times = iter([1795687559.7, 1795687559.7053955, 1795687560.0])
    monkeypatch.setattr("expclip_cache.cache.stores.lease.time", SimpleNamespace(time=lambda: next(times)))
    store, lengths = Remote(address), set()
    for _ in range(3):
        _sign(store, f"{LEASES}/x.json", {"pid": 1, "host": "h", "shards": [0, 2]})
        lengths.add(len(store.read(f"{LEASES}/x.json")))
    assert lengths == {LENGTH}


def test_a_lease_is_refreshed_while_it_is_held(address, monkeypatch):
    monkeypatch.setattr("expclip_cache.cache.stores.lease.REFRESH", 0.05)
    store = Remote(address)

    def signed() -> float:
        (name,) = store.leases()
        return json.loads(store.read(f".leases/{name}"))["signed"]

    with store.leased(range(2)):
        first, deadline = signed(), time.monotonic() + 20
        while signed() == first:
            assert time.monotonic() < deadline, "it was not refreshed"
    assert not store.leases()


def test_of_two_extractions_that_start_at_the_same_moment_the_later_one_yields(address, monkeypatch):
    """The other's lease appears between our first check and our second."""
    store = Remote(address)
    put = Remote.put

    def put_with_other_lease(self, name):
        put(self, name)
        write_lease(address, started=time.time() + offset)

    monkeypatch.setattr(Remote, "put", put_with_other_lease)
    offset = -5
    with pytest.raises(CacheError, match="far-away"), store.leased(None):
        pass
    assert store.leases() == ["other.json"]
    store.remove(".leases/other.json")
    offset = 5
    with store.leased(None):
        assert len(store.leases()) == 2


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("gs://bucket/features", r"gs:// is not installed: pip install 'expclip-cache\[gcs\]'"),
        ("nonsense://bucket/features", "is not an address that can be used"),
    ],
)
def test_an_address_that_no_package_can_open(address, message):
    with pytest.raises(CacheError, match=message):
        FeatureCache(address)


@pytest.mark.slow
def test_a_missing_bucket(job, bucket):
    with pytest.raises(CacheError, match=r"s3://nowhere/features"):
        run_job(replace(job, out="s3://nowhere/features"), CACHE, RUN, SilentReporter())


def test_a_store_that_is_sent_to_another_machine_uses_the_mirror_there(tmp_path, monkeypatch):
    sent = pickle.dumps([Remote("memory://x/y"), Remote("memory://x/y", tmp_path / "given")])
    monkeypatch.setenv(MIRROR_VARIABLE, str(tmp_path / "other"))
    default, given = pickle.loads(sent)
    assert tmp_path / "other" in default.folder.parents
    assert default.folder.is_dir()
    assert tmp_path / "given" in given.mirror.parents


def test_a_mirror_folder_that_cannot_be_created(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(MIRROR_VARIABLE, str(tmp_path / "file"))
    copy_to(make_cache(tmp_path / "c"), f"memory://{tmp_path.name}/c")
    with pytest.raises(CacheError, match=MIRROR_VARIABLE):
        FeatureCache(f"memory://{tmp_path.name}/c")[np.array([0])]


def test_a_path_is_a_folder_and_an_address_is_not(tmp_path):
    assert isinstance(store_at(str(tmp_path)), Folder)
    assert isinstance(store_at(tmp_path), Folder)
    assert isinstance(store_at("memory://x"), Remote)
    assert str(store_at("memory://x/y/")) == "memory://x/y"


def test_no_partial_file_is_ever_visible_in_a_store_without_atomic_puts(job, tmp_path, monkeypatch):
    """Files are written piece by piece, and another reader looks after each piece."""
    from fsspec.implementations.memory import MemoryFileSystem

    address = f"memory://{tmp_path.name}/pieces"

    def put_file(self, local, path, **_):
        raw = Path(local).read_bytes()
        for end in range(1000, len(raw) + 1000, 1000):
            self.pipe_file(path, raw[:end])
            assert_complete(visible(address))

    monkeypatch.setattr(MemoryFileSystem, "put_file", put_file)
    run_job(job, CACHE, RUN, SilentReporter())
    run_job(replace(job, out=address), CACHE, RUN, SilentReporter())
    assert visible(address) == files_in(job.out)


@pytest.mark.parametrize("lease_is_checked", [True, False])
def test_a_writer_that_slept_while_another_machine_replaced_the_cache_writes_no_index(
    job, address, tmp_path, monkeypatch, lease_is_checked
):
    """Neither its lease nor the shards are what they were; each of the two checks finds it."""
    finish, asleep = CacheWriter.finish, []
    settings = {**job.encoder.settings, "preprocess": "clip"}
    other = with_encoder(replace(job, out=address), settings=settings)

    def sleep_first(self):
        if not asleep:
            asleep.append(True)
            filesystem, root = fsspec.url_to_fs(address)
            (mine,) = Remote(address).leases()
            lease = json.loads(filesystem.cat_file(f"{root}/{LEASES}/{mine}"))
            expired = json.dumps(lease | {"signed": time.time() - 400, "host": "asleep"})
            filesystem.pipe_file(f"{root}/{LEASES}/{mine}", expired.encode())
            with monkeypatch.context() as patch:
                patch.setenv(MIRROR_VARIABLE, str(tmp_path / "another-machine"))
                run_job(other, CACHE.model_copy(update={"on_mismatch": "replace"}), RUN, SilentReporter())
        return finish(self)

    monkeypatch.setattr(CacheWriter, "finish", sleep_first)
    if not lease_is_checked:
        monkeypatch.setattr("expclip_cache.cache.stores.lease._prove", lambda *_: None)
    message = "this process lost its lease" if lease_is_checked else "is not what this process put there"
    with pytest.raises(CacheError, match=message):
        run_job(replace(job, out=address), CACHE, RUN, SilentReporter())
    cache = FeatureCache(address)
    assert cache.identity.settings["preprocess"] == "clip"
    assert len(cache[cache.good_rows]) == len(cache.good_rows)


def flipped(content: bytes) -> bytes:
    """With another last letter in the path of row 5."""
    assert content.count(b"5.png") == 1
    return content.replace(b"5.png", b"5.pnh")


def test_verify_looks_at_the_manifest_in_the_store_and_not_at_a_copy_here(job, tmp_path, monkeypatch):
    """The beginning, by which a copy is recognised, ends before the rows."""
    remote = tmp_path / "remote"
    run_job(replace(job, out=f"file://{remote}"), CACHE, RUN, SilentReporter())
    intact, store = (remote / MANIFEST).read_bytes(), Remote(f"file://{remote}")
    monkeypatch.setattr("expclip_cache.cache.stored_manifest.HEADER_BYTES", intact.index(b"5.png") - 16)
    copy = store.local_file(MANIFEST, 16)
    copy.write_bytes(flipped(intact))
    assert not verify_cache(str(store), SilentReporter()).broken
    assert copy.read_bytes() == intact
    (remote / MANIFEST).write_bytes(flipped(intact))
    (broken,) = verify_cache(str(store), SilentReporter()).broken
    assert "rows 0 to 9 do not match their hash" in broken.problem
