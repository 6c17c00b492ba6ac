"""Manifests: hashes of the listed files, the file format and its checks."""

import hashlib
import json
import os
import re
import subprocess
import sys
from dataclasses import replace

import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from expclip_cache.base.errors import DataError
from expclip_cache.base.progress import TerminalReporter
from expclip_cache.datasets.build import build_manifest
from expclip_cache.datasets.hashing import changed_rows, hash_listing
from expclip_cache.datasets.listing import ListedRow, Listing
from expclip_cache.datasets.manifest import Manifest, ManifestRow, in_columns, inconsistency
from expclip_cache.datasets.manifest_file import read_manifest, write_manifest
from expclip_cache.datasets.settings import DatasetSettings


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "data"
    (folder / "clip").mkdir(parents=True)
    for name in ("a.jpg", "new\nline.jpg", "clip/0.jpg", "clip/1.jpg"):
        (folder / name).write_bytes(name.encode() * 10)
    (folder / os.fsdecode(b"caf\xe9.jpg")).write_bytes(b"latin")
    return folder


def listed(*names: str) -> Listing:
    """Images with the labels 0 and 1 in turn."""
    return Listing(tuple(ListedRow(name, k % 2, (name,)) for k, name in enumerate(names)), ("x", "y"), ("a note",))


def test_a_round_trip_keeps_every_name(root, tmp_path):
    listing = listed("a.jpg", "new\nline.jpg", os.fsdecode(b"caf\xe9.jpg"))
    manifest = hash_listing("d", root, listing)
    write_manifest(manifest, tmp_path / "m.arrow")
    found = read_manifest(tmp_path / "m.arrow")
    assert found == manifest
    assert [row.path for row in found.rows] == [row.path for row in listing.rows]
    assert found.rows[0].digest == xxhash.xxh3_128_hexdigest(b"a.jpg" * 10)
    assert found.frames == 1


def test_a_clip_hashes_its_distinct_frames_in_order(root):
    listing = Listing((ListedRow("clip", 0, ("clip/0.jpg", "clip/0.jpg", "clip/1.jpg")),), ("x",))
    row = hash_listing("d", root, listing).rows[0]
    assert row.digest == xxhash.xxh3_128_hexdigest(b"clip/0.jpg" * 10 + b"clip/1.jpg" * 10)
    assert row.bytes == 200


def test_the_hash_depends_on_the_content_and_not_on_the_name(root):
    listing = listed("a.jpg", "clip/0.jpg")
    first = hash_listing("d", root, listing).sha256
    assert hash_listing("other name", root, listing).sha256 == first
    (root / "a.jpg").write_bytes(b"changed")
    assert hash_listing("d", root, listing).sha256 != first


def test_an_unreadable_file_keeps_its_row(root):
    (root / "a.jpg").unlink()
    rows = hash_listing("d", root, listed("a.jpg", "clip/0.jpg")).rows
    assert rows[0].digest is None
    assert rows[1].digest


def test_changed_files_are_found(root):
    manifest = hash_listing("d", root, listed("a.jpg", "clip/0.jpg", "clip/1.jpg"))
    (root / "clip/0.jpg").write_bytes(b"other")
    (root / "clip/1.jpg").unlink()
    assert changed_rows(manifest, root, range(3)) == [1, 2]


def test_one_call_lists_and_hashes_a_folder_without_labels(root, capsys):
    manifest = build_manifest(root, report=TerminalReporter())
    assert "hashing data" in capsys.readouterr().err
    paths = ["a.jpg", os.fsdecode(b"caf\xe9.jpg"), "clip/0.jpg", "clip/1.jpg", "new\nline.jpg"]
    assert manifest == hash_listing("data", root, Listing(tuple(ListedRow(p, -1, (p,)) for p in paths), ()))


def test_one_call_reads_labels_and_clips(tmp_path):
    for name in ("happy/1/0.png", "fear/2/0.png"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_bytes(name.encode())
    images = build_manifest(str(tmp_path), "image-folders", name="mine")
    assert images.name == "mine"
    assert images.classes == ("happiness", "fear")
    assert [(row.path, row.label) for row in images.rows] == [("fear/2/0.png", 1), ("happy/1/0.png", 0)]
    clips = build_manifest(tmp_path, "frame-folders")
    assert [(row.path, row.label, len(row.files)) for row in clips.rows] == [("fear/2", 1, 16), ("happy/1", 0, 16)]
    settings = DatasetSettings(source=str(tmp_path), layout="frame-folders", frames=3, classes=("fear",))
    (clip,) = build_manifest(tmp_path, settings).rows
    assert (clip.path, clip.label, clip.files) == ("fear/2", 0, ("fear/2/0.png",) * 3)


def json_lines(manifest: Manifest, **changed: object) -> bytes:
    """The manifest as earlier versions wrote it, row by row with the standard library."""
    header = {"format": "expclip-cache manifest 1", "name": manifest.name, "classes": manifest.classes}
    header |= {"notes": manifest.notes, "rows": len(manifest.rows), "sha256": manifest.sha256} | changed
    items = [header]
    for row in manifest.rows:
        item = {"path": row.path, "label": row.label, "bytes": row.bytes, "xxh3_128": row.digest}
        item |= {} if row.files == (row.path,) else {"files": row.files}
        items.append(item | ({"boxes": row.boxes} if row.boxes else {}))
    return b"".join(json.dumps(item, sort_keys=True, separators=(",", ":")).encode() + b"\n" for item in items)


@pytest.mark.parametrize(
    ("old", "new"), [(b'"label":1', b'"label":0'), (b'"rows":2', b'"rows":3'), (b"{", b"["), (b"\n", b"")]
)
def test_an_altered_manifest_in_json_lines_is_rejected(root, tmp_path, old, new):
    path = tmp_path / "m.jsonl"
    manifest = hash_listing("d", root, listed("a.jpg", "clip/0.jpg"))
    content = json_lines(manifest)
    path.write_bytes(content)
    assert read_manifest(path) == manifest
    assert old in content
    path.write_bytes(content.replace(old, new))
    with pytest.raises(DataError, match=r"(Correct the path, or|Delete the file and) build it again"):
        read_manifest(path)


def manifest_row(path="a.jpg", label=0, files=None, size=3, digest="0" * 32):
    return ManifestRow(path=path, label=label, files=files or (path,), bytes=size, digest=digest)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ((), "no rows"),
        ((manifest_row(label=2),), r"row 0 \('a.jpg'\) has the label 2, but there are 2 classes"),
        ((manifest_row(label=-2),), "has the label -2"),
        ((manifest_row(size=-3),), "has -3 bytes"),
        (
            (manifest_row(), manifest_row("b", files=("b/1.jpg", "b/2.jpg"))),
            "row 1 .* has 2 frames, but other rows have 1",
        ),
        (
            (manifest_row(), manifest_row(label=1)),
            "rows 0 and 1 are both 'a.jpg', but with different labels or contents",
        ),
        ((manifest_row(), manifest_row(digest="1" * 32)), "rows 0 and 1 are both 'a.jpg'"),
        ((manifest_row("/etc/passwd"),), "'/etc/passwd' points outside the dataset's folder"),
        ((manifest_row("a/../../b.jpg"),), "points outside"),
        ((manifest_row("clip", files=("../b.jpg",)),), "points outside"),
        ((manifest_row("a\0b.jpg"),), "NUL"),
        ((manifest_row(""),), "is not a name"),
    ],
)
def test_an_inconsistent_manifest_is_rejected_even_if_its_hash_matches(tmp_path, rows, message):
    manifest = Manifest("d", ("x", "y"), rows)
    assert re.search(message, inconsistency(manifest) or "")
    (tmp_path / "m.jsonl").write_bytes(json_lines(manifest))
    with pytest.raises(DataError, match=message):
        read_manifest(tmp_path / "m.jsonl")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"label":0', b'"label":true'),
        (b'"bytes":3', b'"boxes":[[1.5,2,3,4]],"bytes":3'),
        (b'"bytes":3', b'"bytes":"3"'),
        (b'"bytes":3', b'"bytes":%d' % 2**63),
    ],
)
def test_json_lines_with_other_values_than_numbers_are_rejected(tmp_path, old, new):
    content = json_lines(Manifest("d", ("x",), (manifest_row(),)))
    assert old in content
    (tmp_path / "m.jsonl").write_bytes(content.replace(old, new))
    with pytest.raises(DataError, match="is not a manifest"):
        read_manifest(tmp_path / "m.jsonl")


def test_a_path_that_no_file_can_have_is_refused():
    with pytest.raises(DataError, match=r"the path '\\ud800.jpg' is not a valid file name"):
        in_columns((manifest_row("\ud800.jpg"),))


def test_a_repeated_row_is_kept_as_in_some_published_lists(tmp_path):
    write_manifest(Manifest("d", ("x",), (manifest_row(), manifest_row())), tmp_path / "m.arrow")
    assert len(read_manifest(tmp_path / "m.arrow").rows) == 2


def test_repeated_class_names_are_rejected(tmp_path):
    write_manifest(Manifest("d", ("x", "x"), (manifest_row(),)), tmp_path / "m.arrow")
    with pytest.raises(DataError, match="not distinct names"):
        read_manifest(tmp_path / "m.arrow")


@pytest.mark.parametrize("content", [b"", b"[]", b"7\n", b"\xff", b"[" * 100_000, b'{"format": 1}'])
def test_a_file_that_is_not_a_manifest_is_rejected(tmp_path, content):
    (tmp_path / "m.jsonl").write_bytes(content)
    with pytest.raises(DataError):
        read_manifest(tmp_path / "m.jsonl")


def test_a_missing_manifest(tmp_path):
    with pytest.raises(DataError, match=r"cannot be read .* Build it first"):
        read_manifest(tmp_path / "none.arrow")


TEXT = (st.text(st.characters(codec="utf-8"), min_size=1).map(str.encode) | st.binary(min_size=1)).map(os.fsdecode)


BOXES = st.tuples(*[st.integers(0, 2**31 - 1)] * 4)
ROW = st.builds(
    ManifestRow,
    path=TEXT,
    label=st.integers(-1, 9),
    files=st.lists(TEXT, min_size=1, max_size=3).map(tuple),
    bytes=st.integers(0, 2**63 - 1),
    digest=st.none() | st.binary(min_size=16, max_size=16).map(bytes.hex),
    boxes=st.lists(BOXES, max_size=2).map(tuple),
)


@given(st.lists(ROW, min_size=1), st.sampled_from(["rows", "whole images", "images"]))
def test_the_hash_of_a_manifest_is_that_of_its_rows_as_plain_json(rows, kind):
    """Quotes, control characters and bytes that are not UTF-8 included."""
    if kind != "rows":
        rows = [replace(row, files=(row.path,), boxes=()) for row in rows]
    if kind == "images":
        rows = [replace(row, digest=row.digest or "f" * 32) for row in rows]
    lines = json_lines(Manifest("d", ("x",), rows), sha256="").partition(b"\n")[2]
    assert Manifest("d", ("x",), rows).sha256 == hashlib.sha256(b'{"classes":["x"]}\n' + lines).hexdigest()
    assert tuple(in_columns(rows)) == tuple(rows)


NAMES_IN_ASCII = """
import sys
from pathlib import Path
from expclip_cache.base import DataError
from expclip_cache.datasets import DatasetSettings, hash_listing, read_manifest, read_rows

dataset = DatasetSettings(source=sys.argv[1], layout="image-folders", labelled=False)
for work in (
    lambda: hash_listing("faces", Path(sys.argv[1]), read_rows(Path(sys.argv[1]), dataset)),
    lambda: read_manifest(Path(sys.argv[2])).rows[0],
):
    try:
        work()
    except DataError as error:
        print(ascii(str(error)))
"""


def test_names_beyond_ascii_are_refused_where_python_would_take_them_for_others(tmp_path):
    """With this locale and without UTF-8 mode, the manifest would have another hash than everywhere else."""
    folder = tmp_path / "faces"
    folder.mkdir()
    (folder / "caf\u00e9.png").write_bytes(b"1")
    row = ManifestRow("caf\u00e9.png", -1, ("caf\u00e9.png",), 1, None)
    write_manifest(Manifest("faces", (), (row,)), tmp_path / "faces.arrow")
    environment = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    command = [sys.executable, "-c", NAMES_IN_ASCII, str(folder), str(tmp_path / "faces.arrow")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.count("Python takes file names for ascii here: set PYTHONUTF8=1") == 2, done.stdout
