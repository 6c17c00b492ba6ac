"""Features of images at addresses are those of the same images in a folder; trouble of a store stops and resumes."""

import logging
from pathlib import Path

import fsspec
import pytest
from typer.testing import CliRunner

from expclip_cache.base import AddressAccessError, DataError, addresses
from expclip_cache.base.addresses import MIRROR_VARIABLE
from expclip_cache.cache import CacheSettings, FeatureCache
from expclip_cache.commands.app import app
from expclip_cache.datasets import address as address_module
from expclip_cache.datasets import build_manifest, contained
from expclip_cache.encoders import ClipSettings
from expclip_cache.extraction import extract
from expclip_cache.workers import RunSettings
from put_files import CONTAINERS, class_folders, put_files
from s3_server import s3_server
from stores import retry_at_once
from tiny_encoders import write_clip

pytestmark = pytest.mark.slow

CACHE = CacheSettings(shard_rows=4)


def run(workers: int) -> RunSettings:
    return RunSettings(device="cpu", batch_size=2, workers=workers)


@pytest.fixture(scope="module")
def server():
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    with s3_server() as server:
        yield server


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> ClipSettings:
    return write_clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture(autouse=True)
def at_once(tmp_path, monkeypatch):
    """No waiting before another attempt, of ours or of the packages."""
    monkeypatch.setenv(MIRROR_VARIABLE, str(tmp_path / "mirror"))
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setattr(addresses, "ATTEMPTS", 2)
    retry_at_once(monkeypatch)
    address_module._statuses.clear()


@pytest.fixture
def bucket(server, tmp_path) -> str:
    server.stop_before = None
    return f"s3://bucket/{tmp_path.name}"


@pytest.fixture
def folder(tmp_path) -> Path:
    return class_folders(tmp_path / "faces")


@pytest.mark.parametrize("workers", [0, 2])
def test_the_same_features_from_a_folder_and_from_a_bucket(tmp_path, clip, bucket, folder, workers):
    expected = extract(folder, tmp_path / "local", clip, layout="image-folders", cache=CACHE, run=run(workers))
    put_files(folder, f"{bucket}/faces")
    found = extract(f"{bucket}/faces", tmp_path / "out", clip, layout="image-folders", cache=CACHE, run=run(workers))
    assert not found.skipped
    assert (found[:] == expected[:]).all()
    assert (found.labels == expected.labels).all()
    for shard in tmp_path.glob("local/shard-*"):
        assert (tmp_path / "out" / shard.name).read_bytes() == shard.read_bytes()


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("layout", ["webdataset", "parquet"])
def test_the_same_from_containers(tmp_path, clip, bucket, layout, workers):
    expected = extract(CONTAINERS / layout, tmp_path / "local", clip, layout=layout, cache=CACHE, run=run(workers))
    put_files(CONTAINERS / layout, bucket)
    found = extract(bucket, tmp_path / "out", clip, layout=layout, cache=CACHE, run=run(workers))
    assert found.identity == expected.identity
    assert (found[:] == expected[:]).all()


def test_a_cache_of_local_tars_is_continued_from_the_bucket(tmp_path, clip, bucket):
    tars = CONTAINERS / "webdataset"
    extract(tars, tmp_path / "out", clip, layout="webdataset", cache=CACHE, run=run(0), part=range(1, 3))
    kept = {shard: shard.stat().st_mtime_ns for shard in (tmp_path / "out").glob("shard-*")}
    assert len(kept) == 2
    put_files(tars, bucket)
    cache = extract(bucket, tmp_path / "out", clip, layout="webdataset", cache=CACHE, run=run(2))
    assert len(cache.good_rows) == 14
    assert all(shard.stat().st_mtime_ns == modified for shard, modified in kept.items())


def test_an_encoder_asks_for_each_image_and_its_size(tmp_path, clip, bucket, folder, server):
    put_files(folder, bucket)
    manifest = build_manifest(bucket, "image-folders")
    server.requests.clear()
    extract(bucket, tmp_path / "out", clip, manifest=manifest, cache=CACHE, run=run(2))
    kinds = [request.split()[0] for request in server.requests]
    assert (kinds.count("GET"), kinds.count("HEAD"), len(kinds)) == (14, 14, 28)  # the image, and its size


def test_workers_take_the_index_that_the_listing_made(tmp_path, clip, bucket, server):
    put_files(CONTAINERS / "webdataset", bucket)
    manifest = build_manifest(bucket, "webdataset")
    address_module._statuses.clear()
    server.requests.clear()
    extract(bucket, tmp_path / "out", clip, manifest=manifest, cache=CACHE, run=run(2))
    read = [request for request in server.requests if request.startswith("GET")]
    asked = [request for request in server.requests if request.startswith("HEAD")]
    assert len(read) == 14
    assert len(read) + len(asked) == len(server.requests)


def test_an_object_that_is_gone_stops_and_is_named(tmp_path, clip, bucket, folder):
    put_files(folder, bucket)
    manifest = build_manifest(bucket, "image-folders")
    filesystem, root = fsspec.url_to_fs(bucket)
    path = manifest.rows[5].path
    filesystem.rm_file(f"{root}/{path}")
    with pytest.raises(DataError, match=rf"'{path}' \(row 5\) could be read when its manifest was made, but not now"):
        extract(bucket, tmp_path / "out", clip, manifest=manifest, cache=CACHE, run=run(2))
    put_files(folder, bucket)
    assert not extract(bucket, tmp_path / "out", clip, manifest=manifest, cache=CACHE, run=run(2)).skipped


@pytest.mark.parametrize("layout", ["image-folders", "webdataset", "parquet"])
@pytest.mark.parametrize("workers", [0, 2])
def test_a_server_that_fails_in_the_middle_is_no_bad_image(tmp_path, clip, bucket, folder, server, workers, layout):
    source = folder if layout == "image-folders" else CONTAINERS / layout
    put_files(source, bucket)
    manifest = build_manifest(bucket, layout)
    contained._opened.cache_clear()  # as in a process that begins
    server.requests.clear()
    server.stop_before = 2
    with pytest.raises(DataError, match=r"cannot be read now in 2 attempts .* then run the same command again"):
        extract(bucket, tmp_path / "out", clip, manifest=manifest, cache=CACHE, run=run(workers))
    server.stop_before = None
    cache = extract(bucket, tmp_path / "out", clip, manifest=manifest, cache=CACHE, run=run(workers))
    assert not cache.skipped
    assert (cache[:] == extract(source, tmp_path / "local", clip, manifest=manifest, cache=CACHE, run=run(0))[:]).all()


def test_a_server_that_fails_while_hashing_makes_no_manifest(bucket, folder, server):
    put_files(folder, bucket)
    server.requests.clear()
    server.stop_before = 5
    with pytest.raises(AddressAccessError, match="cannot be read now"):
        build_manifest(bucket, "image-folders")


def test_commands(tmp_path, clip, bucket, folder):
    put_files(folder, f"{bucket}/faces")
    out = str(tmp_path / "out")
    options = ["--layout", "image-folders", "--model", clip.model, "--device", "cpu", "--workers", "2"]
    result = CliRunner().invoke(app, ["extract", f"{bucket}/faces", out, *options])
    assert result.exit_code == 0, result.output
    assert len(FeatureCache(out)) == 14
    verify = ["verify", out, "--images", f"{bucket}/faces"]
    result = CliRunner().invoke(app, verify)
    assert result.exit_code == 0, result.output
    min(folder.rglob("*.jpg")).write_bytes(b"another")
    put_files(folder, f"{bucket}/faces")
    result = CliRunner().invoke(app, verify)
    assert result.exit_code == 1
    assert "1 rows are not what the" in result.output
    result = CliRunner().invoke(app, ["extract", "sftp://me:secret@host/faces", out])
    assert result.exit_code == 1
    assert "has a password or a signature in it" in result.output
    assert "secret" not in result.output


def test_faces_are_found_in_a_bucket(tmp_path, clip, bucket, folder):
    pytest.importorskip("dlib")
    put_files(folder, bucket)
    found = []
    for number, place in enumerate((str(folder), bucket)):
        out, boxes = tmp_path / f"out-{number}", tmp_path / f"boxes-{number}.jsonl"
        words = ["extract", place, str(out), "--model", clip.model, "--device", "cpu", "--crops", str(boxes)]
        result = CliRunner().invoke(app, words)
        assert result.exit_code == 0, result.output
        found.append((boxes.read_bytes(), FeatureCache(out)[FeatureCache(out).good_rows].tobytes()))
    assert found[0] == found[1]


def test_no_credentials_are_written(tmp_path, clip, bucket, folder, monkeypatch):
    put_files(folder, bucket)
    extract(bucket, tmp_path / "out", clip, layout="image-folders", cache=CACHE, run=run(0))
    for file in (tmp_path / "out").rglob("*"):
        if file.is_file():
            raw = file.read_bytes()
            assert b"AWS" not in raw
            assert b"s3://" not in raw
