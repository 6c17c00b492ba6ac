"""Tar shards and Parquet files as users have them: what counts as a sample, what is noted and what is refused."""

import io
import os
import random
import shutil
import tarfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xxhash

from expclip_cache.base import DataError
from expclip_cache.datasets import DatasetSettings, build_manifest, contained_file
from put_files import put_files

DATA = Path(__file__).parents[2] / "data" / "containers"
IMG2DATASET = DATA / "img2dataset"
EXPRESSIONS = ("anger", "disgust", "fear", "happiness", "neutral", "sadness")


def listed(root: Path, layout: str, labelled: bool = True, **samples: object):
    settings = DatasetSettings(source=str(root), layout=layout, labelled=labelled, samples=samples or None)
    return build_manifest(root, settings, "faces")


def write_tar(path: Path, members: dict[str, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path.parent


def paths(manifest) -> list[str]:
    return [row.path for row in manifest.rows]


def test_the_tars_of_img2dataset():
    """Images that could not be downloaded are in its tables, which are passed over, and not in its tars."""
    manifest = listed(IMG2DATASET / "webdataset", "webdataset", label="json.emotion")
    keys = ("000000", "000001", "000003", "000010", "000011", "000013")
    assert paths(manifest) == [f"0000{key[-2]}.tar/{key}.jpg" for key in keys]
    assert [manifest.classes[row.label] for row in manifest.rows] == list(EXPRESSIONS)
    assert manifest.notes == ()


def test_the_three_formats_of_img2dataset_hold_the_same_images():
    tars = listed(IMG2DATASET / "webdataset", "webdataset", labelled=False)
    folder = build_manifest(IMG2DATASET / "files", "images")
    parquet = listed(IMG2DATASET / "parquet", "parquet", label="emotion")
    digests = [row.digest for row in tars.rows]
    assert [row.digest for row in folder.rows] == [row.digest for row in parquet.rows] == digests
    assert folder.notes == ("files ignored because they are not images: 8 .json, 2 .parquet, 6 .txt",)
    assert paths(parquet) == [f"0000{n}.parquet/jpg/{row}" for n in (0, 1) for row in ((0, 1, 3), (0, 1, 3))[n]]
    assert [parquet.classes[row.label] for row in parquet.rows] == list(EXPRESSIONS)
    assert parquet.notes == ("2 rows have no image and are ignored",)


@pytest.mark.parametrize(
    ("folder", "advice"),
    [
        ("webdataset", r"It is the table of the images in 00000\.tar: choose the layout webdataset\."),
        ("files", r"It is the table of the images in the folder 00000: choose a layout for folders of images\."),
    ],
)
def test_a_table_beside_the_images_has_none(folder, advice):
    with pytest.raises(DataError, match=r"00000\.parquet: expected one column of images, found .* sha256\. " + advice):
        listed(IMG2DATASET / folder, "parquet", labelled=False)


def test_captions_are_not_classes():
    with pytest.raises(DataError, match=r"no class is known for 'a drawn face, anger', "):
        listed(IMG2DATASET / "webdataset", "webdataset")


@pytest.mark.parametrize(
    ("label", "message"),
    [
        ("json", r"000000\.json: expected the field with the class, found the fields emotion, caption, url"),
        ("emotion", r"expected a class for each sample, in a file emotion, found none in jpg, json, txt"),
        ("json.mood", r"in the field 'mood' of a file json, found the fields emotion, caption, url, key, status"),
    ],
)
def test_a_label_that_is_not_there(label, message):
    with pytest.raises(DataError, match=message):
        listed(IMG2DATASET / "webdataset", "webdataset", label=label)


def test_labels_in_files_of_several_extensions(tmp_path):
    members = {"0.jpg": b"", "0.Emotion.TXT": b"fear", "0.json": b'"anger"', "0.meta.json": b'{"a": {"b": "sadness"}}'}
    root = write_tar(tmp_path / "a.tar", members)
    for label, name in (("emotion.txt", "fear"), ("json", "anger"), ("meta.json", None), ("meta.json.a.b", "sadness")):
        if name is None:
            with pytest.raises(DataError, match="found the fields a"):
                listed(root, "webdataset", label=label)
        else:
            assert listed(root, "webdataset", label=label).classes == (name,)


def test_a_folder_of_shards_is_not_a_folder_of_images():
    with pytest.raises(
        DataError, match=r"root and the layout \(webdataset reads \.tar files, parquet reads \.parquet fi"
    ):
        build_manifest(IMG2DATASET / "webdataset", "images")


def test_a_thousand_captions_are_not_all_shown(tmp_path):
    members = {f"{n:04}.{e}": b"caption %d" % n for n in range(1000) for e in ("jpg", "txt")}
    with pytest.raises(DataError, match=r"'caption 9' and 990 more\. Known classes") as caught:
        listed(write_tar(tmp_path / "a.tar", members), "webdataset")
    assert len(str(caught.value)) < 1000


def test_names_of_members(tmp_path):
    names = ("./0.jpg", "sub/0.JPG", "deep/er/0.jpeg", "ü.png", "with space.webp", "\udcff.jpg", "a" * 200 + ".jpg")
    passed_over = ("._0.jpg", "sub/._0.jpg", ".hidden/1.jpg", "__MACOSX/0.jpg", "README", "sub/notes.txt", "x.gif")
    root = write_tar(
        tmp_path / "a.tar", {name: name.encode("utf-8", "surrogateescape") for name in names + passed_over}
    )
    manifest = listed(root, "webdataset", labelled=False)
    assert sorted(paths(manifest)) == sorted(f"a.tar/{name.removeprefix('./')}" for name in names)
    for row in manifest.rows:
        content = contained_file(root, row.path)
        assert content.decode("utf-8", "surrogateescape").removeprefix("./") == row.path.removeprefix("a.tar/")
    assert manifest.notes == ("2 samples have no image and are ignored, such as 'sub/notes' with txt",)


def test_names_with_several_dots(tmp_path):
    """The first dot ends a sample's key, for `webdataset` too, so that these four images are two samples."""
    members = {f"face.{n}.{part}.png": b"x" for n in (1, 2) for part in "ab"}
    root = write_tar(tmp_path / "a.tar", members)
    message = (
        r"found none, but 1 samples without one, such as 'face' with 1\.a\.png, 1\.b\.png, 2\.a\.png\. Names are div"
    )
    with pytest.raises(DataError, match=message):
        listed(root, "webdataset", labelled=False)
    root = write_tar(tmp_path / "b/b.tar", {f"{n}.{part}.png": b"x" for n in (1, 2) for part in ("left", "right")})
    assert paths(listed(root, "webdataset", labelled=False, image="left.png")) == [
        "b.tar/1.left.png",
        "b.tar/2.left.png",
    ]


def test_names_that_differ_only_in_their_case_are_refused(tmp_path):
    root = write_tar(tmp_path / "a.tar", {"0.jpg": b"x", "0.JPG": b"y"})
    with pytest.raises(DataError, match=r"'0\.jpg' and '0\.JPG' differ only in their case"):
        listed(root, "webdataset", labelled=False)


def test_a_member_that_points_outside_is_refused(tmp_path):
    root = write_tar(tmp_path / "a.tar", {"../0.jpg": b"x"})
    with pytest.raises(DataError, match=r"'a\.tar/\.\./0\.jpg' points outside the dataset's folder"):
        listed(root, "webdataset", labelled=False)


def test_links_inside_a_tar(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for name, kind, target in (
            ("0.jpg", tarfile.REGTYPE, ""),
            ("1.jpg", tarfile.LNKTYPE, "0.jpg"),
            ("sub/2.jpg", tarfile.SYMTYPE, "../0.jpg"),
            ("3.jpg", tarfile.SYMTYPE, "/elsewhere/0.jpg"),
        ):
            info = tarfile.TarInfo(name)
            info.type, info.linkname, info.size = kind, target, 0 if target else 5
            tar.addfile(info, io.BytesIO(b"image"))
    manifest = listed(tmp_path, "webdataset", labelled=False)
    assert paths(manifest) == ["a.tar/0.jpg", "a.tar/1.jpg", "a.tar/sub/2.jpg"]
    assert len({row.digest for row in manifest.rows}) == 1
    assert manifest.notes == ("a.tar has links that lead to none of its files, or sparse files: '3.jpg'",)


def test_equal_keys_and_equal_images_in_several_shards_are_samples_of_their_own(tmp_path):
    for name in ("sub/a.tar", "sub/b.tar", "c.tar"):
        write_tar(tmp_path / name, {"0.jpg": b"same", "0.txt": b"fear"})
    manifest = listed(tmp_path, "webdataset")
    assert paths(manifest) == ["c.tar/0.jpg", "sub/a.tar/0.jpg", "sub/b.tar/0.jpg"]


def test_shards_in_linked_folders_are_read_and_those_of_systems_passed_over(tmp_path):
    for name in ("data/a.tar", "data/@eaDir/b.tar", "data/.hidden/c.tar", "data/.d.tar", "elsewhere/e.tar"):
        write_tar(tmp_path / name, {"0.jpg": b"x"})
    (tmp_path / "data/linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "data/f.tar").symlink_to(tmp_path / "elsewhere/e.tar")
    expected = ["a.tar/0.jpg", "f.tar/0.jpg", "linked/e.tar/0.jpg"]
    assert paths(listed(tmp_path / "data", "webdataset", labelled=False)) == expected
    (tmp_path / "data/linked").unlink()
    (tmp_path / "data/f.tar").unlink()
    address = put_files(tmp_path / "data", f"memory://{tmp_path.name}")
    assert paths(listed(address, "webdataset", labelled=False)) == expected[:1]


def test_a_link_to_a_folder_above_the_shards_is_refused(tmp_path):
    write_tar(tmp_path / "a.tar", {"0.jpg": b"x"})
    (tmp_path / "again").symlink_to(tmp_path)
    with pytest.raises(DataError, match="again: is a link to a folder above it"):
        listed(tmp_path, "webdataset", labelled=False)


@pytest.mark.parametrize(("layout", "suffix"), [("webdataset", "tar"), ("parquet", "parquet")])
def test_a_shard_whose_link_is_broken_is_an_error(tmp_path, layout, suffix):
    shutil.copytree(DATA / layout, tmp_path / "data")
    (tmp_path / f"data/z.{suffix}").symlink_to(tmp_path / "nothing")
    with pytest.raises(DataError, match=rf"z\.{suffix}: cannot be read \(No such file or directory\)"):
        listed(tmp_path / "data", layout, labelled=False)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may list every folder")
def test_a_folder_of_shards_that_may_not_be_listed_is_an_error(tmp_path):
    write_tar(tmp_path / "data/a.tar", {"0.jpg": b"x"})
    write_tar(tmp_path / "data/closed/b.tar", {"0.jpg": b"x"})
    (tmp_path / "data/closed").chmod(0)
    try:
        with pytest.raises(DataError, match=r"closed: .* cannot be listed \(Permission denied\)"):
            listed(tmp_path / "data", "webdataset", labelled=False)
    finally:
        (tmp_path / "data/closed").chmod(0o700)


def test_shards_without_files(tmp_path):
    write_tar(tmp_path / "a.tar", {})
    (tmp_path / "b.tar").touch()
    with pytest.raises(DataError, match=r"in its tar shards, found none\. .* Of the tars: b\.tar is cut off after 0 f"):
        listed(tmp_path, "webdataset", labelled=False)
    write_tar(tmp_path / "c.tar", {"0.jpg": b"x"})
    manifest = listed(tmp_path, "webdataset", labelled=False)
    assert manifest.notes == ("b.tar is cut off after 0 files",)


def test_compressed_tars_are_not_overlooked(tmp_path):
    (tmp_path / "00000.tar.gz").write_bytes(b"\x1f\x8b")
    with pytest.raises(DataError, match=r"found none\. Compressed tars cannot be .*: unpack '00000\.tar\.gz' to \.tar"):
        listed(tmp_path, "webdataset")


def test_a_damaged_header_keeps_what_is_before_it_and_is_noted(tmp_path):
    tars = shutil.copytree(DATA / "webdataset", tmp_path / "tars")
    shard = tars / "faces-000001.tar"
    with tarfile.open(shard) as tar:
        place = tar.getmember("0010.jpg").offset_data - 512
    raw = bytearray(shard.read_bytes())
    raw[place + 3] ^= 1
    shard.write_bytes(raw)
    manifest = listed(tars, "webdataset", label="json.emotion")
    assert [row.path[-8:] for row in manifest.rows] == [f"{row:04}.jpg" for row in range(10)]
    assert manifest.notes[0] == f"faces-000001.tar is damaged at byte {place}, after 9 files"


def test_a_label_that_is_cut_off(tmp_path):
    root = write_tar(tmp_path / "a.tar", {f"{n}.{e}": b"fear" * 300 for n in (0, 1) for e in ("jpg", "txt")})
    shard = root / "a.tar"
    shard.write_bytes(shard.read_bytes()[: 512 * 15])
    manifest = listed(root, "webdataset", native={"fear" * 300: "fear"})
    assert paths(manifest) == ["a.tar/0.jpg"]
    assert manifest.notes == ("a.tar is cut off after 4 files", "1 samples have no class in a file txt and are ignored")


def test_a_tar_that_has_been_cut_off_says_so_of_each_file_that_is_gone(tmp_path):
    root = write_tar(tmp_path / "a.tar", {f"{n}.jpg": b"x" * 600 for n in range(3)})
    (root / "a.tar").write_bytes((root / "a.tar").read_bytes()[: 512 * 6])
    with pytest.raises(FileNotFoundError, match=r"does not exist in \S+/a\.tar, which is cut off after 2 files"):
        contained_file(root, "a.tar/2.jpg")


def test_the_first_tar_with_a_label_says_where_all_labels_are(tmp_path):
    write_tar(tmp_path / "0.tar", {"0.jpg": b"x"})
    write_tar(tmp_path / "a.tar", {"1.jpg": b"x", "1.txt": b"fear"})
    root = write_tar(tmp_path / "b.tar", {f"{n}.{e}": b"anger" for n in (2, 3) for e in ("jpg", "cls")})
    write_tar(tmp_path / "c.tar", {"4.jpg": b"x", "4.txt": b"fear", "4.cls": b"anger"})
    manifest = listed(root, "webdataset")
    assert paths(manifest) == ["a.tar/1.jpg", "c.tar/4.jpg"]
    assert manifest.classes == ("fear",)
    assert manifest.notes == ("3 samples have no class in a file txt and are ignored",)
    assert paths(listed(root, "webdataset", label="cls")) == ["b.tar/2.jpg", "b.tar/3.jpg", "c.tar/4.jpg"]


def test_a_large_file_is_no_label(tmp_path):
    root = write_tar(tmp_path / "a.tar", {"0.jpg": b"x", "0.txt": b"fear" + b" " * (1 << 20)})
    with pytest.raises(DataError, match=r"a\.tar/0\.txt: expected a class, found more than 1048576 bytes"):
        listed(root, "webdataset")


def test_a_large_member_is_hashed_in_blocks(tmp_path):
    import tracemalloc

    content = random.Random(0).randbytes(40 << 20)
    root = write_tar(tmp_path / "a.tar", {"0.jpg": content})
    tracemalloc.start()
    manifest = listed(root, "webdataset", labelled=False)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [(row.bytes, row.digest) for row in manifest.rows] == [(40 << 20, xxhash.xxh3_128_hexdigest(content))]
    assert peak < 25 << 20


def write_hub(root: Path, splits: dict[str, list[str | None]]) -> Path:
    """Parquet files as they lie on the model hub, of bytes without metadata."""
    for split, words in splits.items():
        table = {"image": [{"bytes": f"{split} {n}".encode(), "path": None} for n in range(len(words))], "label": words}
        kind = pa.struct({"bytes": pa.binary(), "path": pa.string()})
        (root / "data").mkdir(parents=True, exist_ok=True)
        schema = pa.schema({"image": kind, "label": pa.string()})
        pq.write_table(pa.table(table, schema), root / f"data/{split}-00000-of-00001.parquet")
    return root


def test_several_splits_are_noted(tmp_path):
    root = write_hub(tmp_path / "trained", {"train": ["fear"], "test": ["anger", None]})
    manifest = listed(root, "parquet")
    assert manifest.notes == (
        "files of several splits are read: test, train. samples.files chooses, such as *test*",
        "1 rows have no class and are ignored",
    )
    manifest = listed(root, "parquet", files="*test*")
    assert paths(manifest) == ["data/test-00000-of-00001.parquet/image/0"]


def test_a_test_set_without_classes(tmp_path):
    root = write_hub(tmp_path, {"test": [None, None]})
    with pytest.raises(
        DataError, match="expected rows with an image and a class, found 0 without an image and 2 without"
    ):
        listed(root, "parquet")
    assert len(listed(root, "parquet", labelled=False).rows) == 2


def test_a_folder_called_like_a_parquet_file(tmp_path):
    """Spark writes folders of that name with files inside."""
    root = write_hub(tmp_path, {"test": ["fear"]})
    (root / "data").rename(root / "faces.parquet")
    manifest = listed(root, "parquet")
    assert paths(manifest) == ["faces.parquet/test-00000-of-00001.parquet/image/0"]
    assert contained_file(root, paths(manifest)[0]) == b"test 0"


@pytest.mark.parametrize(
    ("column", "kind"),
    [([[b"x"]], "list<element: binary>"), ([3], "int64"), ([{"bytes": b"x"}], "struct<bytes: binary>")],
)
def test_a_column_of_something_else_is_refused(tmp_path, column, kind):
    pq.write_table(pa.table({"image": column}), tmp_path / "a.parquet")
    with pytest.raises(DataError, match=f"as bytes or paths, found values of the type {kind}. Say which"):
        listed(tmp_path, "parquet", labelled=False)


def test_paths_that_lead_nowhere(tmp_path):
    pq.write_table(pa.table({"image": ["a.jpg", None, "b.jpg"]}), tmp_path / "a.parquet")
    with pytest.raises(DataError, match=r"expected 2 images, of which 2 are not there.*relative to their Parquet file"):
        listed(tmp_path, "parquet", labelled=False)
    (tmp_path / "a.jpg").write_bytes(b"x")
    manifest = listed(tmp_path, "parquet", labelled=False)
    assert manifest.notes == (
        "1 rows have no image and are ignored",
        "1 images are missing and will fail to decode: 'b.jpg'",
    )


def test_absolute_paths(tmp_path):
    """`Dataset.to_parquet` writes them for images that it has not read."""
    (tmp_path / "images").mkdir()
    (tmp_path / "images/a.jpg").write_bytes(b"x")
    (tmp_path / "tables").mkdir()
    kind = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    column = pa.array([{"bytes": None, "path": str(tmp_path / "images/a.jpg")}], kind)
    pq.write_table(pa.table({"image": column}), tmp_path / "tables/a.parquet")
    assert paths(listed(tmp_path, "parquet", labelled=False)) == ["images/a.jpg"]
    with pytest.raises(
        DataError, match=r"tables/a\.parquet: has the path '/.*/a\.jpg', which leads out of the dataset's"
    ):
        listed(tmp_path / "tables", "parquet", labelled=False)


@pytest.mark.parametrize(
    ("layout", "name"), [("webdataset", "faces-000000.tar"), ("parquet", "test-00000-of-00002.parquet")]
)
def test_a_single_file_is_given_by_its_folder(layout, name):
    with pytest.raises(DataError, match=rf"expected a folder .* found a file\. Give its folder, and {name} as samples"):
        listed(DATA / layout / name, layout)
    assert len(listed(DATA / layout, layout, labelled=False, files=name).rows) in (7, 8)
