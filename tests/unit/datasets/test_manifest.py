import os
from pathlib import Path

import pytest
import xxhash

from expclip_cache.base.errors import DataError
from expclip_cache.datasets.listing import Listing, Row
from expclip_cache.datasets.manifest import (
    Manifest,
    ManifestRow,
    build_manifest,
    changed_rows,
    read_manifest,
    write_manifest,
)


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "data"
    (folder / "clip").mkdir(parents=True)
    for name in ("a.jpg", "new\nline.jpg", "clip/0.jpg", "clip/1.jpg"):
        (folder / name).write_bytes(name.encode() * 10)
    (folder / os.fsdecode(b"caf\xe9.jpg")).write_bytes(b"latin")
    return folder


def images(root: Path, *names: str) -> Listing:
    return Listing(tuple(Row(name, k % 2, (name,)) for k, name in enumerate(names)), ("x", "y"), ("a note",))


def test_round_trip_keeps_every_name(root, tmp_path):
    listing = images(root, "a.jpg", "new\nline.jpg", os.fsdecode(b"caf\xe9.jpg"))
    manifest = build_manifest("d", root, listing)
    write_manifest(manifest, tmp_path / "m.jsonl")
    found = read_manifest(tmp_path / "m.jsonl")
    assert found == manifest
    assert [row.path for row in found.rows] == [row.path for row in listing.rows]
    assert found.rows[0].digest == xxhash.xxh3_128_hexdigest(b"a.jpg" * 10)
    assert found.frames == 1


def test_a_clip_hashes_its_distinct_frames_in_order(root):
    listing = Listing((Row("clip", 0, ("clip/0.jpg", "clip/0.jpg", "clip/1.jpg")),), ("x",))
    row = build_manifest("d", root, listing).rows[0]
    assert row.digest == xxhash.xxh3_128_hexdigest(b"clip/0.jpg" * 10 + b"clip/1.jpg" * 10)
    assert row.bytes == 200


def test_the_identity_follows_the_content_and_not_the_place(root, tmp_path):
    listing = images(root, "a.jpg", "clip/0.jpg")
    first = build_manifest("d", root, listing).sha256
    assert build_manifest("other name", root, listing).sha256 == first
    (root / "a.jpg").write_bytes(b"changed")
    assert build_manifest("d", root, listing).sha256 != first


def test_an_unreadable_file_keeps_its_row(root):
    (root / "a.jpg").unlink()
    rows = build_manifest("d", root, images(root, "a.jpg", "clip/0.jpg")).rows
    assert rows[0].digest is None
    assert rows[1].digest


def test_changed_files_are_found(root):
    manifest = build_manifest("d", root, images(root, "a.jpg", "clip/0.jpg", "clip/1.jpg"))
    (root / "clip/0.jpg").write_bytes(b"other")
    (root / "clip/1.jpg").unlink()
    assert changed_rows(manifest, root, range(3)) == [1, 2]


@pytest.mark.parametrize(
    ("old", "new"), [(b'"label":1', b'"label":0'), (b'"rows":2', b'"rows":3'), (b"{", b"["), (b"\n", b"")]
)
def test_a_changed_manifest_is_refused(root, tmp_path, old, new):
    path = tmp_path / "m.jsonl"
    write_manifest(build_manifest("d", root, images(root, "a.jpg", "clip/0.jpg")), path)
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new))
    with pytest.raises(DataError, match="Delete it and make it again"):
        read_manifest(path)


def row(path="a.jpg", label=0, files=None, size=3, digest="0" * 32):
    return ManifestRow(path, label, files or (path,), size, digest)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ((), "no rows"),
        ((row(label=2),), r"row 0 \('a.jpg'\) has the label 2, and there are 2 classes"),
        ((row(label=-2),), "has the label -2"),
        ((row(label=True),), "has the label True"),
        ((row(), row("b", files=("b/1.jpg", "b/2.jpg"))), "row 1 .* has 2 frames, others have 1"),
        ((row(), row(label=1)), "rows 0 and 1 are both 'a.jpg', with different labels or contents"),
        ((row(), row(digest="1" * 32)), "rows 0 and 1 are both 'a.jpg'"),
        ((row("/etc/passwd"),), "'/etc/passwd' leads out of the dataset's folder"),
        ((row("a/../../b.jpg"),), "leads out of"),
        ((row("clip", files=("../b.jpg",)),), "leads out of"),
        ((row("a\0b.jpg"),), "NUL"),
        ((row("\ud800.jpg"),), "is no file name"),
        ((row(""),), "is no name"),
    ],
)
def test_a_manifest_that_cannot_be_true_is_refused_though_its_hash_holds(tmp_path, rows, message):
    write_manifest(Manifest("d", ("x", "y"), rows), tmp_path / "m.jsonl")
    with pytest.raises(DataError, match=message):
        read_manifest(tmp_path / "m.jsonl")


def test_the_same_row_twice_is_kept_as_some_lists_have_it(tmp_path):
    write_manifest(Manifest("d", ("x",), (row(), row())), tmp_path / "m.jsonl")
    assert len(read_manifest(tmp_path / "m.jsonl").rows) == 2


def test_classes_of_the_same_name_are_refused(tmp_path):
    write_manifest(Manifest("d", ("x", "x"), (row(),)), tmp_path / "m.jsonl")
    with pytest.raises(DataError, match="not different names"):
        read_manifest(tmp_path / "m.jsonl")


@pytest.mark.parametrize("content", [b"", b"[]", b"7\n", b"\xff", b"[" * 100_000, b'{"format": 1}'])
def test_what_is_no_manifest_is_refused(tmp_path, content):
    (tmp_path / "m.jsonl").write_bytes(content)
    with pytest.raises(DataError):
        read_manifest(tmp_path / "m.jsonl")


def test_a_missing_manifest(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        read_manifest(tmp_path / "none.jsonl")
