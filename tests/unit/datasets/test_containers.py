"""Images in tar shards and Parquet files: the same rows, hashes and bytes as in a folder.

The files in tests/data/containers were written by the libraries `webdataset` and `datasets`, from the same 14 images.
"""

import io
import shutil
import tarfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from expclip_cache.base import DataError
from expclip_cache.datasets import DatasetSettings, build_manifest, changed_rows, contained_file

DATA = Path(__file__).parents[2] / "data" / "containers"
NAMES = ("anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise")


@pytest.fixture
def tars(tmp_path) -> Path:
    return shutil.copytree(DATA / "webdataset", tmp_path / "tars")


@pytest.fixture
def folder(tars, tmp_path) -> Path:
    """The images of the tars as class folders."""
    for shard in sorted(tars.glob("*.tar")):
        with tarfile.open(shard) as tar:
            for member in tar.getnames():
                if member.endswith(".jpg"):
                    label = tar.extractfile(member.replace(".jpg", ".txt")).read().decode()
                    file = tmp_path / "folder" / label / member
                    file.parent.mkdir(parents=True, exist_ok=True)
                    file.write_bytes(tar.extractfile(member).read())
    return tmp_path / "folder"


def listed(root: Path, layout: str, **samples: object):
    settings = DatasetSettings(source=str(root), layout=layout, samples=samples or None)
    return build_manifest(root, settings, "faces")


def by_digest(manifest) -> dict[str, str]:
    return {row.digest: manifest.classes[row.label] for row in manifest.rows}


@pytest.mark.parametrize(
    "samples",
    [
        {"label": "txt"},
        {"label": "json.emotion"},
        {"label": "cls", "native": dict(enumerate(NAMES))},
        {"label": "txt", "image": "JPG", "files": "faces-*.tar"},
    ],
)
def test_samples_of_tar_shards_are_those_of_the_folder(tars, folder, samples):
    manifest, expected = listed(tars, "webdataset", **samples), listed(folder, "image-folders")
    assert by_digest(manifest) == by_digest(expected)
    assert manifest.classes == expected.classes
    assert manifest.notes == expected.notes == ()
    assert manifest.rows[0].path == "faces-000000.tar/0000.jpg"
    assert [row.bytes for row in sorted(manifest.rows, key=lambda row: row.path[-8:])] == [
        row.bytes for row in sorted(expected.rows, key=lambda row: row.path[-8:])
    ]


def test_numbers_are_never_guessed(tars):
    with pytest.raises(
        DataError, match=r"no class is known for '3'.*Numbers and abbreviations are never guessed"
    ) as error:
        listed(tars, "webdataset")
    assert "in params.yaml (see docs/datasets.md); no option of the command line does" in str(error.value)


def test_rows_of_parquet_files_are_those_of_the_folder(folder):
    manifest, expected = listed(DATA / "parquet", "parquet"), listed(folder, "image-folders")
    assert by_digest(manifest) == by_digest(expected)
    assert [row.path for row in manifest.rows][:8] == [
        *(f"test-00000-of-00002.parquet/image/{row}" for row in range(7)),
        "test-00001-of-00002.parquet/image/0",
    ]


def test_a_class_label_says_itself_what_its_numbers_mean():
    with pytest.raises(DataError, match=r"the number 1 is called 'disgust', but samples\.native says 'fear'"):
        listed(DATA / "parquet", "parquet", native={0: "anger", 1: "fear"})


def test_files_of_other_writers(tmp_path, folder):
    """Bytes without a struct, a label in words, another name of the columns, and 120 rows in small groups."""
    images = sorted(folder.rglob("*.jpg"), key=lambda file: file.name)
    table = {
        "picture": [images[row % 14].read_bytes() for row in range(120)],
        "emotion": [images[row % 14].parent.name for row in range(120)],
    }
    pq.write_table(pa.table(table), tmp_path / "a.parquet", row_group_size=7)
    with pytest.raises(DataError, match=r"expected one column of images, found the columns picture, emotion"):
        listed(tmp_path, "parquet", label="emotion", files="*.parquet")
    manifest = listed(tmp_path, "parquet", label="emotion", image="picture", files="*.parquet")
    assert [row.path for row in manifest.rows] == [f"a.parquet/picture/{row:03}" for row in range(120)]
    for row in (0, 6, 7, 119):
        assert contained_file(tmp_path, f"a.parquet/picture/{row:03}") == images[row % 14].read_bytes()


def test_paths_beside_a_parquet_file(folder):
    """`datasets` writes paths alone for images that it has not read."""
    images = sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*.jpg"))
    kind = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    column = pa.array([{"bytes": None, "path": path} for path in images], kind)
    words = [path.partition("/")[0] for path in images]
    pq.write_table(pa.table({"image": column, "label": words}), folder / "train.parquet")
    manifest = listed(folder, "parquet")
    assert [row.path for row in manifest.rows] == images
    (folder / "train.parquet").unlink()
    assert by_digest(manifest) == by_digest(listed(folder, "image-folders"))


def test_a_folder_may_be_called_like_a_shard(folder, tmp_path):
    folder.rename(tmp_path / "faces.tar")
    manifest = listed(tmp_path / "faces.tar", "image-folders")
    assert changed_rows(manifest, tmp_path / "faces.tar", range(len(manifest.rows))) == []
    inner = tmp_path / "all" / "happiness" / "x.tar"
    inner.parent.mkdir(parents=True)
    (tmp_path / "faces.tar" / "happiness").rename(inner)
    manifest = listed(tmp_path / "all", "image-folders")
    assert all(row.digest for row in manifest.rows)


def rewrite(shard: Path, change) -> None:
    """Write a tar again: `change` gets the list of (name, content) and returns another."""
    with tarfile.open(shard) as tar:
        members = [(member.name, tar.extractfile(member).read()) for member in tar]
    with tarfile.open(shard, "w") as tar:
        for name, content in change(members):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))


def test_what_a_shard_may_also_hold_is_passed_over(tars):
    """Notes without an extension, another image in a subfolder, and the tables that img2dataset writes beside."""
    extra = [("README", b"x"), ("sub/0000.jpg", b"y"), ("sub/0000.txt", b"anger")]
    rewrite(tars / "faces-000001.tar", lambda members: [*members, *extra])
    (tars / "00000_stats.json").write_text("{}")
    pq.write_table(pa.table({"key": ["0000"]}), tars / "00000.parquet")
    manifest = listed(tars, "webdataset", label="txt")
    assert len(manifest.rows) == 15
    assert manifest.rows[-1].path == "faces-000001.tar/sub/0000.jpg"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: [*m, ("0008.jpg", b"again")], r"has several files called '0008\.jpg'"),
        (lambda m: [*m, ("0008.png", b"another")], r"sample '0008' has several images"),
        (lambda m: [(n, b"{" if n == "0009.json" else c) for n, c in m], r"0009\.json: is not JSON"),
    ],
)
def test_what_cannot_be_told_apart_is_refused(tars, change, message):
    rewrite(tars / "faces-000001.tar", change)
    with pytest.raises(DataError, match=message):
        listed(tars, "webdataset", label="json.emotion")


def test_samples_without_an_image_or_a_class_are_noted(tars):
    rewrite(tars / "faces-000001.tar", lambda m: [(n, c) for n, c in m if n not in ("0008.jpg", "0009.txt")])
    manifest = listed(tars, "webdataset", label="txt")
    assert len(manifest.rows) == 12
    assert manifest.notes == (
        "1 samples have no image and are ignored, such as '0008' with cls, json, txt",
        "1 samples have no class and are ignored",
    )


def test_no_sample_with_a_class_is_an_error(tars):
    with pytest.raises(DataError, match=r"expected a class for each sample, in the field 'mood' of a file json, "):
        listed(tars, "webdataset", label="json.mood")


def test_a_shard_that_is_cut_off_keeps_what_is_whole(tars):
    shard = tars / "faces-000001.tar"
    with tarfile.open(shard) as tar:
        cut = tar.getmember("0010.jpg")
    raw = shard.read_bytes()
    shard.write_bytes(raw[: cut.offset_data + 100])
    manifest = listed(tars, "webdataset", label="json.emotion")
    assert [row.path[-8:] for row in manifest.rows if row.digest] == [f"{row:04}.jpg" for row in range(10)]
    assert manifest.notes[0].startswith("faces-000001.tar is cut off after")


def test_a_compressed_tar_is_refused(tars):
    import gzip

    shard = tars / "faces-000001.tar"
    shard.write_bytes(gzip.compress(shard.read_bytes()))
    with pytest.raises(DataError, match="is not an uncompressed tar"):
        listed(tars, "webdataset", label="txt")


def test_a_flipped_bit_and_a_removed_member_are_noticed(tars):
    manifest = listed(tars, "webdataset", label="txt")
    shard = tars / "faces-000000.tar"
    with tarfile.open(shard) as tar:
        place = tar.getmember("0003.jpg").offset_data + 500
    raw = bytearray(shard.read_bytes())
    raw[place] ^= 1
    shard.write_bytes(bytes(raw))
    rewrite(tars / "faces-000001.tar", lambda m: [(n, c) for n, c in m if n != "0012.jpg"])
    assert changed_rows(manifest, tars, range(14)) == [3, 12]


def test_there_must_be_a_shard(tmp_path, folder):
    with pytest.raises(DataError, match=r"expected files \*\.tar, found none"):
        listed(folder, "webdataset")
