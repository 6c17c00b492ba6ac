"""Images at addresses: the same manifests as of folders, by few requests, and whose fault it is if one fails."""

import http.server
import logging
import shutil
import tarfile
import threading
from functools import partial
from pathlib import Path

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from expclip_cache.base import AddressAccessError, DataError, SettingsError, addresses
from expclip_cache.base.addresses import MIRROR_VARIABLE
from expclip_cache.datasets import DatasetSettings, build_manifest, changed_rows, contained, contained_file, root_at
from expclip_cache.datasets import address as address_module
from expclip_cache.datasets.address import READ_AHEAD
from expclip_cache.datasets.roots import resolve_root
from put_files import CONTAINERS, class_folders, put_files
from s3_server import s3_server
from stores import retry_at_once

SAMPLES = {"webdataset": {"label": "txt"}}


@pytest.fixture(scope="module")
def server():
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    with s3_server() as server:
        yield server


@pytest.fixture(autouse=True)
def mirror(tmp_path, monkeypatch):
    monkeypatch.setenv(MIRROR_VARIABLE, str(tmp_path / "mirror"))
    retry_at_once(monkeypatch)
    address_module._statuses.clear()
    return tmp_path / "mirror"


@pytest.fixture(params=["memory", "file", pytest.param("s3", marks=pytest.mark.slow)])
def place(request, tmp_path):
    """An address below which nothing is."""
    if request.param == "s3":
        request.getfixturevalue("server")
        return f"s3://bucket/{tmp_path.name}"
    return {"memory": f"memory://{tmp_path.name}", "file": f"file://{tmp_path}/remote"}[request.param]


@pytest.fixture
def s3(server, tmp_path):
    return f"s3://bucket/{tmp_path.name}"


def listed(root: Path | str, layout: str, **settings: object):
    samples = settings.pop("samples", SAMPLES.get(layout))
    return build_manifest(root, DatasetSettings(source=str(root), layout=layout, samples=samples, **settings), "faces")


@pytest.mark.parametrize("layout", ["image-folders", "webdataset", "parquet"])
def test_the_manifest_is_that_of_the_folder(place, tmp_path, layout):
    folder = class_folders(tmp_path / "local") if layout == "image-folders" else CONTAINERS / layout
    put_files(folder, place)
    expected, manifest = listed(folder, layout), listed(place, layout)
    assert len(manifest.rows) == 14
    assert manifest.sha256 == expected.sha256
    assert manifest.notes == expected.notes
    assert changed_rows(manifest, root_at(place), range(14)) == []


def test_what_is_passed_over_is_that_of_the_folder(place, tmp_path):
    folder = class_folders(tmp_path / "local")
    for name in ("anger/notes.txt", "@eaDir/a.jpg", "fear/@eaDir/a.jpg", ".hidden/a.jpg", "fear/.a.jpg", "top.png"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"x")
    (folder / "fear" / "empty.jpg").write_bytes(b"")
    (folder / "fear" / "größe 1 #%?&+.JPG").write_bytes(b"x")
    put_files(folder, place)
    expected, manifest = listed(folder, "image-folders"), listed(place, "image-folders")
    assert len(manifest.rows) == 16
    assert manifest.sha256 == expected.sha256
    assert manifest.notes == expected.notes
    assert len(manifest.notes) == 3


def test_clips_and_videos_are_those_of_the_folder(place, tmp_path):
    folder = tmp_path / "local"
    for name in (
        "fear/1/1.jpg",
        "fear/1/2.jpg",
        "fear/1/10.jpg",
        "happiness/empty/x.txt",
        "happiness/2/1.png",
        "happiness/3.mp4",
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())
    put_files(folder, place)
    expected = listed(folder, "frame-folders")
    manifest = listed(place, "frame-folders")
    assert [row.path for row in manifest.rows] == ["fear/1", "happiness/2", "happiness/3.mp4", "happiness/empty"]
    assert manifest.sha256 == expected.sha256
    assert manifest.notes == expected.notes


def test_objects_that_stand_for_folders_are_no_images(s3, tmp_path):
    import boto3

    put_files(class_folders(tmp_path / "local"), s3)
    for key in ("", "happiness/", "nothing/", "x.jpg/"):
        boto3.client("s3").put_object(Bucket="bucket", Key=f"{s3.removeprefix('s3://bucket/')}/{key}", Body=b"")
    assert listed(s3, "image-folders").sha256 == listed(tmp_path / "local", "image-folders").sha256


def test_requests_of_a_listing_and_of_each_image(s3, server, tmp_path):
    put_files(class_folders(tmp_path / "local"), s3)
    server.requests.clear()
    manifest = listed(s3, "image-folders")
    kinds = [request.split()[0] for request in server.requests]
    assert (kinds.count("GET"), kinds.count("HEAD"), len(kinds)) == (15, 14, 29)
    assert sum("list-type" in request for request in server.requests) == 1
    server.requests.clear()
    changed_rows(manifest, root_at(s3), range(14))
    assert len(server.requests) == 28


def test_requests_of_tars(s3, server):
    """One listing, one for what each tar is, one for every 8 MB of its headers and labels, one for each image."""
    put_files(CONTAINERS / "webdataset", s3)
    server.requests.clear()
    listed(s3, "webdataset")
    assert len(server.requests) == 1 + 2 * (1 + 1 + 1) + 14
    server.requests.clear()
    listed(s3, "webdataset", samples=None, labelled=False)
    assert len(server.requests) == 1 + 2 + 14  # the indexes are kept


def test_headers_are_read_in_large_blocks_and_large_members_skipped(s3, server, tmp_path):
    (tmp_path / "local").mkdir()
    with tarfile.open(tmp_path / "local" / "a.tar", "w") as tar:
        for number, size in enumerate([1000] * 500 + [2 * READ_AHEAD] * 2):
            (tmp_path / "x").write_bytes(bytes(size))
            tar.add(tmp_path / "x", f"{number:04}.jpg")
    put_files(tmp_path / "local", s3)
    server.requests.clear()
    assert len(contained_file(root_at(s3), "a.tar/0499.jpg")) == 1000
    assert len(server.requests) <= 1 + 3 + 1  # what it is, blocks of headers, the member


def test_requests_of_parquet_files(s3, server):
    put_files(CONTAINERS / "parquet", s3)
    server.requests.clear()
    listed(s3, "parquet", labelled=False)
    # A listing; for each file what it is, its footer, and its only row group in two columns.
    assert len(server.requests) <= 1 + 2 * (1 + 1 + 3)


def test_a_tar_that_changes_gets_another_index(place, tmp_path, monkeypatch):
    tars = shutil.copytree(CONTAINERS / "webdataset", tmp_path / "tars")
    put_files(tars, place)
    manifest = listed(place, "webdataset")
    with tarfile.open(tars / "faces-000000.tar", "w") as tar:
        for name in ("longer-name-000.txt", "0000.jpg"):
            (tmp_path / name).write_bytes(b"happiness")
            tar.add(tmp_path / name, name)
    put_files(tars, place)
    monkeypatch.setattr(address_module, "LOOK_AGAIN", 0.0)
    assert contained_file(root_at(place), "faces-000000.tar/0000.jpg") == b"happiness"
    assert changed_rows(manifest, root_at(place), range(14)) == list(range(8))
    assert listed(place, "webdataset", labelled=False, samples=None).sha256 != manifest.sha256


def test_a_listing_asks_again_what_the_tars_are(place, tmp_path):
    tars = shutil.copytree(CONTAINERS / "webdataset", tmp_path / "tars")
    put_files(tars, place)
    listed(place, "webdataset")
    shutil.copy(tars / "faces-000001.tar", tars / "faces-000000.tar")
    put_files(tars, place)
    assert listed(place, "webdataset").sha256 == listed(tars, "webdataset").sha256


def test_an_index_that_cannot_be_kept_is_no_fault_of_an_image(tmp_path, mirror):
    put_files(CONTAINERS / "webdataset", f"memory://{tmp_path.name}")
    mirror.write_text("a file in its place")
    with pytest.raises(AddressAccessError, match=r"cannot be kept here.*EXPCLIP_CACHE_MIRROR"):
        listed(f"memory://{tmp_path.name}", "webdataset")


@pytest.mark.parametrize(
    "damage",
    [
        lambda raw: raw[:100],
        lambda raw: b"",
        lambda raw: b"{}",
        lambda raw: b"}",
        lambda raw: b"[1]",
        lambda raw: raw.replace(b'.cls", 1536,', b'.cls", 1537,', 1),
        lambda raw: raw + b" ",
    ],
)
def test_a_damaged_index_is_read_again(tmp_path, mirror, damage):
    put_files(CONTAINERS / "webdataset", f"memory://{tmp_path.name}")
    expected = listed(f"memory://{tmp_path.name}", "webdataset").sha256
    kept = sorted((mirror / "tars").iterdir())
    assert [file.suffix for file in kept] == [".json", ".json"]
    whole = [file.read_bytes() for file in kept]
    for file, raw in zip(kept, whole, strict=True):
        assert damage(raw) != raw
        file.write_bytes(damage(raw))
    contained._opened.cache_clear()
    assert listed(f"memory://{tmp_path.name}", "webdataset").sha256 == expected
    assert [file.read_bytes() for file in kept] == whole


class HalfAnswers(MemoryFileSystem):
    """Sends only the first half of what is asked for, as often as `left` says."""

    protocol = "half"
    left = 0

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return MemoryFileSystem._strip_protocol(path.replace("half://", "memory://"))

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **more: object) -> bytes:
        content = super().cat_file(path, start=start, end=end, **more)
        if HalfAnswers.left < 1:
            return content
        HalfAnswers.left -= 1
        return content[: len(content) // 2]


@pytest.mark.parametrize("layout", ["image-folders", "webdataset", "parquet"])
def test_an_answer_that_is_cut_short_is_asked_for_again(tmp_path, monkeypatch, layout):
    fsspec.register_implementation("half", HalfAnswers, clobber=True)
    folder = class_folders(tmp_path / "local") if layout == "image-folders" else CONTAINERS / layout
    put_files(folder, f"memory://{tmp_path.name}")
    monkeypatch.setattr(HalfAnswers, "left", 5)
    assert listed(f"half://{tmp_path.name}", layout).sha256 == listed(folder, layout).sha256
    assert HalfAnswers.left == 0
    monkeypatch.setattr(HalfAnswers, "left", 10**6)
    with pytest.raises(
        AddressAccessError, match=r"cannot be read now in 8 attempts \(OSError: of \d+ bytes, \d+ came\)"
    ):
        listed(f"half://{tmp_path.name}", layout)


def test_an_object_that_goes_is_an_image_that_changed(place, tmp_path):
    put_files(class_folders(tmp_path / "local"), place)
    manifest = listed(place, "image-folders")
    filesystem, root = fsspec.url_to_fs(place)
    filesystem.rm_file(f"{root}/{manifest.rows[3].path}")
    assert changed_rows(manifest, root_at(place), range(14)) == [3]


@pytest.mark.parametrize(
    ("address", "error", "message"),
    [
        ("memory://nothing/here", DataError, "expected files below this address, found nothing"),
        ("gs://bucket/x", SettingsError, r"gs:// is not installed: pip install 'expclip-cache\[gcs\]'"),
        ("nonsense://bucket/x", SettingsError, "is not an address that can be used"),
        ("s3://", SettingsError, r"s3://: expected an address such as s3://bucket/faces, found nothing behind ://"),
        ("sftp://me:secret@host/x", SettingsError, r"sftp://\*\*\*@host/x: has a password or a signature in it"),
        ("https://host/x?signature=secret", SettingsError, r"https://host/x: has a password or a signature in it"),
    ],
)
def test_addresses_that_cannot_be_used(address, error, message):
    with pytest.raises(error, match=message) as raised:
        build_manifest(address)
    assert "secret" not in str(raised.value)


def test_a_server_of_pages_lists_images_and_must_send_parts_of_tars(tmp_path):
    """Python's own server lists folders and sends whole files."""
    folder = class_folders(tmp_path / "faces")
    shutil.copytree(CONTAINERS / "webdataset", tmp_path / "tars")
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as pages:
        threading.Thread(target=pages.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{pages.server_port}"
        assert listed(f"{address}/faces", "image-folders").sha256 == listed(folder, "image-folders").sha256
        with pytest.raises(AddressAccessError, match="sends whole files where parts are asked for"):
            listed(f"{address}/tars", "webdataset")
        pages.shutdown()


@pytest.mark.slow
def test_a_bucket_that_does_not_exist(server):
    with pytest.raises(DataError, match="s3://no-bucket/x: expected files below this address, found nothing"):
        build_manifest("s3://no-bucket/x")


@pytest.mark.slow
def test_access_that_is_refused_says_nothing_about_images(s3, server, tmp_path, monkeypatch):
    put_files(class_folders(tmp_path / "local"), s3)
    manifest = listed(s3, "image-folders")
    refused = PermissionError("Access Denied")
    filesystem, _ = addresses.file_system_at(s3, DataError)
    monkeypatch.setattr(filesystem, "cat_file", lambda *_, **__: (_ for _ in ()).throw(refused))
    with pytest.raises(AddressAccessError, match=r"jpg: cannot be read now \(PermissionError: Access Denied\)"):
        changed_rows(manifest, root_at(s3), range(14))
    with pytest.raises(AddressAccessError, match="says nothing about the images"):
        listed(s3, "image-folders")


def test_layouts_that_need_a_folder(tmp_path):
    put_files(class_folders(tmp_path / "local"), f"memory://{tmp_path.name}")
    root = root_at(f"memory://{tmp_path.name}")
    raf_db = DatasetSettings(source="pipeline/expclip_cache/datasets/definitions/raf-db.yaml")
    # The class folders of the layout can be at an address, the list of the archive cannot.
    assert len(build_manifest(root, raf_db, "raf-db").rows) == 14
    dfew = DatasetSettings(source="pipeline/expclip_cache/datasets/definitions/dfew.yaml", fold=1)
    with pytest.raises(DataError, match=r"layout clip-list needs a folder of this machine.*image-folders, frame-f"):
        build_manifest(root, dfew, "dfew")
    with pytest.raises(ValueError, match="a table or a definition must be a file of this machine"):
        DatasetSettings(source="s3://bucket/x.csv", layout="table", table={"path": "{file}"})


def test_the_root_of_a_definition_and_a_source_may_be_addresses(tmp_path):
    address = put_files(class_folders(tmp_path / "local"), f"memory://{tmp_path.name}/faces")
    fer = DatasetSettings(source="pipeline/expclip_cache/datasets/definitions/fer2013.yaml")
    root = resolve_root("fer", fer, env={"EXPCLIP_DATA_FER2013": address})
    assert str(root) == address
    assert root.name == "faces"
    (tmp_path / "roots.yaml").write_text(f"fer2013: {address}\n")
    assert resolve_root("fer", fer, env={}, roots_file=tmp_path / "roots.yaml") == root
    source = DatasetSettings(source=address, layout="image-folders")
    assert (
        build_manifest(resolve_root("faces", source), source, "faces").sha256 == listed(address, "image-folders").sha256
    )
    with pytest.raises(DataError, match=r"datasets\.faces\.source: expected images at memory://\S+, found nothing"):
        resolve_root("faces", DatasetSettings(source=f"{address}/no", layout="image-folders"))
