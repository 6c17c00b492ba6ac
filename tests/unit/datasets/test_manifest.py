"""Manifests: hashes of the listed files, the file format and its checks."""

import json
import os
import subprocess
import sys

import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from expclip_cache.base.errors import DataError
from expclip_cache.base.progress import TerminalReporter
from expclip_cache.datasets.build import build_manifest
from expclip_cache.datasets.hashing import changed_rows, hash_listing
from expclip_cache.datasets.listing import ListedRow, Listing
from expclip_cache.datasets.manifest import Manifest, ManifestRow, _row_line, read_manifest, write_manifest
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
    write_manifest(manifest, tmp_path / "m.jsonl")
    found = read_manifest(tmp_path / "m.jsonl")
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


@pytest.mark.parametrize(
    ("old", "new"), [(b'"label":1', b'"label":0'), (b'"rows":2', b'"rows":3'), (b"{", b"["), (b"\n", b"")]
)
def test_an_altered_manifest_is_rejected(root, tmp_path, old, new):
    path = tmp_path / "m.jsonl"
    write_manifest(hash_listing("d", root, listed("a.jpg", "clip/0.jpg")), path)
    content = path.read_bytes()
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
        ((manifest_row(label=True),), "has the label True"),
        ((manifest_row(size="3"),), "has '3' bytes"),
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
        ((manifest_row("\ud800.jpg"),), "is not a valid file name"),
        ((manifest_row(""),), "is not a name"),
    ],
)
def test_an_inconsistent_manifest_is_rejected_even_if_its_hash_matches(tmp_path, rows, message):
    write_manifest(Manifest("d", ("x", "y"), rows), tmp_path / "m.jsonl")
    with pytest.raises(DataError, match=message):
        read_manifest(tmp_path / "m.jsonl")


def test_a_repeated_row_is_kept_as_in_some_published_lists(tmp_path):
    write_manifest(Manifest("d", ("x",), (manifest_row(), manifest_row())), tmp_path / "m.jsonl")
    assert len(read_manifest(tmp_path / "m.jsonl").rows) == 2


def test_repeated_class_names_are_rejected(tmp_path):
    write_manifest(Manifest("d", ("x", "x"), (manifest_row(),)), tmp_path / "m.jsonl")
    with pytest.raises(DataError, match="not distinct names"):
        read_manifest(tmp_path / "m.jsonl")


@pytest.mark.parametrize("content", [b"", b"[]", b"7\n", b"\xff", b"[" * 100_000, b'{"format": 1}'])
def test_a_file_that_is_not_a_manifest_is_rejected(tmp_path, content):
    (tmp_path / "m.jsonl").write_bytes(content)
    with pytest.raises(DataError):
        read_manifest(tmp_path / "m.jsonl")


def test_a_missing_manifest(tmp_path):
    with pytest.raises(DataError, match=r"cannot be read .* Build it first"):
        read_manifest(tmp_path / "none.jsonl")


TEXT = st.text(st.characters(codec=None), min_size=1)


@given(TEXT, st.integers(-1, 9), st.lists(TEXT, min_size=1, max_size=3), st.integers(0), st.none() | st.just("0" * 32))
def test_a_row_is_written_as_plain_json(path, label, files, size, digest):
    """Quotes, control characters and lone surrogates included; the hash of a manifest is that of these lines."""
    for names in ((path,), tuple(files)):
        row = ManifestRow(path=path, label=label, files=names, bytes=size, digest=digest)
        item = {"path": path, "label": label, "bytes": size, "xxh3_128": digest}
        item |= {} if names == (path,) else {"files": names}
        assert _row_line(row) == json.dumps(item, sort_keys=True, separators=(",", ":")) + "\n"


NAMES_IN_ASCII = """
import sys
from pathlib import Path
from expclip_cache.base import DataError
from expclip_cache.datasets import DatasetSettings, hash_listing, read_manifest, read_rows

dataset = DatasetSettings(source=sys.argv[1], layout="image-folders", labelled=False)
for work in (
    lambda: hash_listing("faces", Path(sys.argv[1]), read_rows(Path(sys.argv[1]), dataset)),
    lambda: read_manifest(Path(sys.argv[2])),
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
    write_manifest(Manifest("faces", (), (row,)), tmp_path / "faces.jsonl")
    environment = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    command = [sys.executable, "-c", NAMES_IN_ASCII, str(folder), str(tmp_path / "faces.jsonl")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.count("Python takes file names for ascii here: set PYTHONUTF8=1") == 2, done.stdout
