"""Tables of images or clips: every kind of file, broken and hostile ones, votes, boxes and keys."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from expclip_cache.base.errors import DataError
from expclip_cache.datasets.build import build_manifest
from expclip_cache.datasets.forms import Table
from expclip_cache.datasets.listing import Listing
from expclip_cache.datasets.read import read_rows
from expclip_cache.datasets.settings import DatasetSettings

KINDS = (".csv", ".tsv", ".parquet", ".jsonl")
NAMES = (
    "a.png",
    "b c.png",
    'quoted "x".png',
    "comma, .png",
    "tab\t1.png",
    "l\u00e4cheln.png",
    "two\nlines.png",
    "#1.png",
)
BOX = {"left": "x", "top": "y", "right": "x2", "bottom": "y2"}


def write_table(file: Path, rows: list[dict[str, Any]]) -> Path:
    """One table by its suffix; Parquet and JSON lines keep the types."""
    if file.suffix == ".parquet":
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), file)
    elif file.suffix == ".jsonl":
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        text = io.StringIO()
        writer = csv.DictWriter(text, list(rows[0]), delimiter="\t" if file.suffix == ".tsv" else ",")
        writer.writeheader()
        writer.writerows(rows)
        file.write_bytes(text.getvalue().encode())
    return file


def read(file: Path, **columns) -> Listing:
    """A user's own table, whose folder is the root."""
    options = {name: columns.pop(name) for name in ("classes", "labelled", "crop", "frames") if name in columns}
    table = Table(**{"path": "{file}", **columns})
    return read_rows(file.parent, DatasetSettings(source=str(file), layout="table", table=table, **options))


def found(listing: Listing) -> dict[str, str]:
    return {row.path: listing.classes[row.label] for row in listing.rows}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> Path:
    """A folder with a file for each of NAMES."""
    folder = tmp_path_factory.mktemp("pictures")
    for name in NAMES:
        (folder / name).touch()
    return folder


ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "file": st.sampled_from(NAMES),
            "mood": st.sampled_from(["happy", "Fear", "ANGRY", "neutral"]),
            "x": st.integers(-5, 50),
            "y": st.sampled_from([0.0, 1.25, 7.5, 40.0]),
            "x2": st.integers(0, 99),
            "y2": st.integers(0, 99),
            "note": st.sampled_from(["", "it's, well", '"', "a\nb", "\u2019"]),
        }
    ),
    min_size=1,
    max_size=8,
    unique_by=lambda row: row["file"],
)


@settings(deadline=None, max_examples=30)
@given(ROWS)
def test_all_kinds_of_tables_give_the_same_rows(pictures, rows):
    columns = {"label": "mood", "box": BOX}
    listings = [read(write_table(pictures / f"faces{kind}", rows), **columns) for kind in KINDS]
    assert all(listing == listings[0] for listing in listings)
    assert {row.path for row in listings[0].rows} == {row["file"] for row in rows}
    words = {"happy": "happiness", "fear": "fear", "angry": "anger", "neutral": "neutral"}
    assert found(listings[0]) == {row["file"]: words[row["mood"].lower()] for row in rows}


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(*[st.integers(-20, 120).map(lambda n: n / 2)] * 4), min_size=1, max_size=8))
def test_right_and_bottom_or_width_and_height_give_the_same_boxes(pictures, boxes):
    rows = [
        {"file": name, "x": left, "y": top, "x2": left + wide, "y2": top + high, "w": wide, "h": high}
        for name, (left, top, wide, high) in zip(NAMES, boxes, strict=False)
    ]
    file = write_table(pictures / "boxes.csv", rows)
    edges = read(file, box=BOX)
    assert edges == read(file, box={"left": "x", "top": "y", "width": "w", "height": "h"})
    assert edges == read(file, box={"left": "x", "top": "y", "right": "x2", "height": "h"})
    for row in edges.rows:
        left, top, right, bottom = row.boxes[0]
        assert (0 <= left < right and 0 <= top < bottom) or row.boxes[0] == (0, 0, 0, 0)


def test_boxes_are_whole_pixels_inside_the_image(tmp_path):
    lines = {
        "a.png": ("10,20,30,40", (10, 20, 30, 40)),
        "b.png": ("-3,2.4,10.6,12", (0, 2, 11, 12)),
        "c.png": ("30,20,10,40", (0, 0, 0, 0)),
        "d.png": (",,,", (0, 0, 0, 0)),
        "e.png": ("NULL,null,NULL,NULL", (0, 0, 0, 0)),
        "f.png": ("nan,0,5,5", (0, 0, 0, 0)),
    }
    for name in lines:
        (tmp_path / name).touch()
    (tmp_path / "faces.csv").write_text(
        "file,x,y,x2,y2\n" + "".join(f"{name},{line}\n" for name, (line, _) in lines.items())
    )
    listing = read(tmp_path / "faces.csv", box=BOX)
    assert {row.path: row.boxes for row in listing.rows} == {name: (box,) for name, (_, box) in lines.items()}
    assert "4 of 6 items have an empty box and will fail to decode" in listing.notes
    assert not any(row.boxes for row in read(tmp_path / "faces.csv", box=BOX, crop="none").rows)
    with pytest.raises(DataError, match="crop is boxes, but no table gives the boxes"):
        read(tmp_path / "faces.csv", crop="boxes")


def test_several_faces_of_one_image(tmp_path):
    """Each is an item with a name of its own; without a key they would be one item with two boxes."""
    (tmp_path / "a.png").touch()
    (tmp_path / "faces.csv").write_text("file,face,mood,x,y,x2,y2\na.png,1,happy,0,0,5,5\na.png,0,sad,5,5,9,9\n")
    columns = {"label": "mood", "box": BOX}
    manifest = build_manifest(
        tmp_path,
        DatasetSettings(
            source=str(tmp_path / "faces.csv"),
            layout="table",
            table=Table(path=("{file}",), key="{file}#{face}", label="mood", box=Table(path=("x",), box=BOX).box),
        ),
    )
    assert [(row.path, row.files, row.boxes) for row in manifest.rows] == [
        ("a.png#0", ("a.png",), ((5, 5, 9, 9),)),
        ("a.png#1", ("a.png",), ((0, 0, 5, 5),)),
    ]
    with pytest.raises(DataError, match=r"1 items are listed more than once with different.*'a\.png'.*\(key:\)"):
        read(tmp_path / "faces.csv", **columns)


def test_an_item_that_is_listed_twice_is_noted_or_refused(tmp_path):
    (tmp_path / "a.png").touch()
    (tmp_path / "faces.csv").write_text("file,mood\na.png,sad\na.png,Sadness\n")
    listing = read(tmp_path / "faces.csv", label="mood")
    assert len(listing.rows) == 2
    assert "1 items are listed more than once and have a row per listing: 'a.png'" in listing.notes
    (tmp_path / "faces.csv").write_text("file,mood\na.png,sad\na.png,happy\n")
    with pytest.raises(DataError, match="listed more than once with different classes or boxes"):
        read(tmp_path / "faces.csv", label="mood")
    (tmp_path / "clip").mkdir()
    (tmp_path / "clip/1.png").touch()
    (tmp_path / "clips.csv").write_text("file,mood\nclip,sad\nclip,sad\nclip,happy\n")
    with pytest.raises(DataError, match=r"with different classes or boxes: 'clip'\.$"):
        read(tmp_path / "clips.csv", label="mood", clips=True)


@pytest.mark.parametrize("kind", KINDS)
def test_the_majority_of_votes(tmp_path, kind):
    """More than half; fractions and other weights count as they are, missing ones as nothing."""
    votes = {
        "a.png": (6, 4, 0, 0),
        "b.png": (5, 5, 0, 0),
        "c.png": (0.25, 0.2, 0.05, 0.51),
        "d.png": (1, 1, 1, 0),
        "e.png": (0, 0, 0, 0),
        "f.png": (0, 0, 3, 2),
        "g.png": (0, 0.75, 0.25, 0.25),
    }
    columns = ("happy", "sad", "fear", "NF")
    rows = [{"file": name, **dict(zip(columns, counts, strict=True))} for name, counts in votes.items()]
    for name in votes:
        (tmp_path / name).touch()
    file = write_table(tmp_path / f"votes{kind}", rows)
    with pytest.raises(DataError, match="no class is known for 'NF'"):
        read(file, votes=columns)
    definition = (
        f"name: x\ntitle: X\nlayout: table\nignored: [NF]\nforms:\n- {{kind: list, files: [votes{kind}], path: "
        f"'{{file}}', votes: [{', '.join(columns)}]}}\n"
    )
    (tmp_path / "x.yaml").write_text(definition)
    listing = read_rows(tmp_path, DatasetSettings(source=str(tmp_path / "x.yaml")))
    assert found(listing) == {"a.png": "happiness", "f.png": "fear", "g.png": "sadness"}
    assert listing.classes == ("happiness", "sadness", "fear")
    assert "3 of 7 items are ignored: no class has a majority of their votes" in listing.notes
    assert "1 listed items are ignored: their class is not among happiness, sadness, fear" in listing.notes
    unlabelled = read(file, votes=columns, labelled=False)
    assert [row.label for row in unlabelled.rows] == [-1] * 7


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("-1,2", r"line 2: votes cannot be negative"),
        ("many,2", r"line 2: expected a number in happy, found 'many'"),
        ("inf,2", r"expected a number in happy, found 'inf'"),
        ("nan,2", r"expected a number in happy, found 'nan'"),
    ],
)
def test_votes_that_are_no_numbers_are_refused(tmp_path, line, message):
    (tmp_path / "a.png").touch()
    (tmp_path / "v.csv").write_text(f"file,happy,sad\na.png,{line}\n")
    with pytest.raises(DataError, match=message):
        read(tmp_path / "v.csv", votes=("happy", "sad"))


@pytest.mark.parametrize(
    ("columns", "missing"),
    [
        ({"path": "{image}"}, "image"),
        ({"path": ["{file}", "{image}"]}, None),
        ({"label": "emotion"}, "emotion"),
        ({"votes": ("happy", "angry")}, "happy"),
        ({"key": "{file}#{face}"}, "face"),
        ({"box": BOX}, "x"),
        ({"only": {"split": "test"}}, "split"),
    ],
)
@pytest.mark.parametrize("kind", KINDS)
def test_a_missing_column_is_named_and_so_are_those_that_are_there(tmp_path, kind, columns, missing):
    (tmp_path / "a.png").touch()
    file = write_table(tmp_path / f"faces{kind}", [{"file": "a.png", "mood": "happy"}])
    if missing is None:
        assert len(read(file, **columns).rows) == 1
        return
    with pytest.raises(DataError, match=rf"faces\{kind}, (line|row) \d: expected a column '{missing}', found 'file'"):
        read(file, **columns)


PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(range(256))
HOSTILE = {
    "garbage.parquet": (PNG, r"is not a Parquet file"),
    "empty.parquet": (b"", r"is not a Parquet file"),
    "cut.parquet": (b"PAR1" + PNG + b"PAR1", r"is not a Parquet file"),
    "garbage.csv": (PNG, r"expected (commas between|one image per line|a column)|is not a row of a table"),
    "empty.csv": (b"", r"expected one image per line, found none"),
    "bom.csv": (b"\xef\xbb\xbf", r"expected one image per line, found none"),
    "header.csv": (b"file,mood\r\n\r\n", r"expected one image per line, found none"),
    "few.csv": (b"file,mood\na.png\n", r"line 2: expected commas between file, mood, found 'a\.png'"),
    "many.csv": (b"file,mood\na.png,sad\na.png,sad,1\n", r"line 3: expected commas between"),
    "twice.csv": (b"file,mood,mood\na.png,sad,happy\n", r"line 1: expected columns with different names.*mood"),
    "unclosed.csv": (b'file,mood\na.png,"sad\nb.png,sad\n', r"is not a row of a table \(unexpected end of data\)"),
    "huge.csv": (b'file,mood\n"' + b"a" * 200_000 + b'",sad\n', r"is not a row of a table \(field larger"),
    "tabs.tsv": (b"file,mood\na.png,sad\n", r"expected a column 'mood', found 'file,mood'"),
    "utf16.csv": ("file,mood\na.png,sad\n".encode("utf-16")[:-1], r"begins as UTF-16 and is not"),
    "list.jsonl": (
        b'{"file": "a.png", "mood": "sad"}\n["a.png", "sad"]\n',
        r"line 2: expected an object with the colum",
    ),
    "number.jsonl": (b"3\n", r"line 1: expected an object"),
    "text.jsonl": (b"file,mood\n", r"line 1: is not JSON"),
    "pretty.jsonl": (b'[\n {"file": "a.png"}\n]\n', r"line 1: is not JSON"),
    "bytes.jsonl": (b'\xff{"file": "a.png"}\n', r"line 1: is not JSON"),
    "empty.jsonl": (b"\n\n", r"expected one image per line, found none"),
    "deep.jsonl": (b'{"file": ' + b"[" * 100_000 + b"]" * 100_000 + b"}\n", r"line 1: is (not JSON|nested too deeply)"),
    "nested.jsonl": (
        b'{"file": ' + b'{"a":' * 940 + b"1" + b"}" * 940 + b"}\n",
        r"line 1: (is nested too|expected a column 'mood')",
    ),
    "number-of-digits.jsonl": (b'{"file": ' + b"9" * 5000 + b"}\n", r"line 1: is not JSON"),
    "surrogate.jsonl": (b'{"file": "\\ud800.png", "mood": "sad"}\n', r"line 1: expected a path, found '\\ud800\.png'"),
    "nul.jsonl": (b'{"file": "a\\u0000.png", "mood": "sad"}\n', r"line 1: expected a path, found 'a\\x00\.png'"),
    "nothing.jsonl": (b'{"file": null, "mood": "sad"}\n', r"line 1: expected a path, found ''"),
    "outside.csv": (b"file,mood\n../a.png,sad\n", r"line 2: the path '\.\./a\.png' leads outside"),
    "inside-out.csv": (b"file,mood\nx/../../a.png,sad\n", r"leads outside the dataset's folder"),
    "absolute.csv": (b"file,mood\n/etc/passwd,sad\n", r"the path '/etc/passwd' leads outside"),
    "unknown.csv": (b"file,mood\na.png,sad\na.png,sleepy\n", r"unknown\.csv: no class is known for 'sleepy'"),
    "bare-number.csv": (b"file,mood\na.png,3\n", r"no class is known for '3'"),
    "elsewhere.csv": (b"file,mood\na.png,sad\nb.png,sad\nc.png,sad\n", r"expected 3 images, of which 2 are not there"),
}
"""Table -> its bytes, the error. The folder has a.png."""


@pytest.mark.parametrize("name", HOSTILE)
def test_broken_and_hostile_tables(tmp_path, name):
    raw, message = HOSTILE[name]
    (tmp_path / "a.png").touch()
    (tmp_path / name).write_bytes(raw)
    with pytest.raises(DataError, match=message) as caught:
        read(tmp_path / name, label="mood")
    assert name in str(caught.value)
    str(caught.value).encode(errors="surrogateescape")


@pytest.mark.parametrize(
    ("box", "message"),
    [
        ("left,0,5,5", r"line 2: expected the box of the face in pixels \(could not convert"),
        ("0,0,,5", "expected the b"),
    ],
)
def test_text_in_a_box_is_refused(tmp_path, box, message):
    (tmp_path / "a.png").touch()
    (tmp_path / "faces.csv").write_text(f"file,x,y,x2,y2\na.png,{box}\n")
    with pytest.raises(DataError, match=message):
        read(tmp_path / "faces.csv", box=BOX)


def test_a_key_that_leads_outside_is_refused(tmp_path):
    (tmp_path / "a.png").touch()
    (tmp_path / "faces.csv").write_text("file,face\na.png,../../b\n")
    with pytest.raises(DataError, match="leads outside"):
        read(tmp_path / "faces.csv", key="{face}")


def test_a_missing_table_and_a_folder_in_its_place(tmp_path):
    with pytest.raises(DataError, match=r"expected the table of .*faces\.csv"):
        read(tmp_path / "faces.csv")
    for kind in (".csv", ".jsonl"):
        (tmp_path / f"faces{kind}").mkdir()
        with pytest.raises(DataError, match=rf"faces\{kind}: cannot be read \(Is a directory\)"):
            read(tmp_path / f"faces{kind}")


@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"], ids=["", "byte order mark"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"], ids=["LF", "CRLF"])
@pytest.mark.parametrize("kind", [".csv", ".tsv", ".jsonl"])
def test_marks_and_line_ends_of_other_systems(tmp_path, kind, end, start):
    (tmp_path / "a.png").touch()
    (tmp_path / "b c.png").touch()
    lines = {
        ".csv": [b"file, mood", b"a.png, sad", b'"b c.png" ,happy', b""],
        ".tsv": [b"file\tmood", b"a.png\tsad", b"b c.png\thappy", b""],
        ".jsonl": [b'{"file": "a.png", "mood": "sad"}', b"", b'{"mood": "happy", "file": "b c.png"}'],
    }
    if kind == ".csv":
        lines[kind][2] = b'"b c.png",happy'
    (tmp_path / f"faces{kind}").write_bytes(start + end.join(lines[kind]))
    assert found(read(tmp_path / f"faces{kind}", label="mood")) == {"a.png": "sadness", "b c.png": "happiness"}


def test_a_line_break_in_quotes_does_not_shift_the_numbers_of_lines(tmp_path):
    (tmp_path / "a.png").touch()
    (tmp_path / "faces.csv").write_text('file,note,mood\na.png,"one\ntwo",sad\na.png,"x",sad\na.png,x\n')
    with pytest.raises(DataError, match=r"faces\.csv, line 5: expected commas between file, note, mood"):
        read(tmp_path / "faces.csv", label="mood")


def test_bytes_that_are_not_utf_8_stay_as_they_are(tmp_path):
    """Names of files may be of any encoding, and so may columns that are not read."""
    name = b"l\xe4cheln.png".decode(errors="surrogateescape")
    (tmp_path / name).touch()
    (tmp_path / "faces.csv").write_bytes(b"file,mood,who\nl\xe4cheln.png,sad,Ren\xe9\n")
    assert found(read(tmp_path / "faces.csv", label="mood")) == {name: "sadness"}
    table = pyarrow.table({"file": pyarrow.array([b"l\xe4cheln.png"], pyarrow.binary()), "mood": ["sad"]})
    pyarrow.parquet.write_table(table, tmp_path / "faces.parquet")
    assert found(read(tmp_path / "faces.parquet", label="mood")) == {name: "sadness"}


def test_columns_by_position_with_and_without_a_header(tmp_path):
    for name in ("a.png", "b c.png"):
        (tmp_path / name).touch()
    columns = {"columns": ("file", "number", "mood"), "label": "mood"}
    for header in ("", "file number mood\n"):
        (tmp_path / "faces.txt").write_text(f"{header}a.png 1 sad\n\n b c.png  2\thappy \n")
        listing = read(tmp_path / "faces.txt", separator="space", **columns)
        assert found(listing) == {"a.png": "sadness", "b c.png": "happiness"}
    assert found(read(tmp_path / "faces.txt", separator="space", label="mood")) == found(listing)
    for header in ("", "file,number,mood\n"):
        (tmp_path / "faces.csv").write_text(f"{header}a.png,1,sad\nb c.png,2,happy\n")
        assert found(read(tmp_path / "faces.csv", **columns)) == {"a.png": "sadness", "b c.png": "happiness"}
    (tmp_path / "faces.csv").write_text("file,number,mood\na.png,1,sad\nfile,number,mood\n")
    with pytest.raises(DataError, match="no class is known for 'mood'"):
        read(tmp_path / "faces.csv", **columns)


def test_values_in_lists_and_objects_are_columns(tmp_path):
    """Parquet and JSON lines may hold a box as a list and votes as an object; numbers may be of any type."""
    (tmp_path / "0007.png").touch()
    row = {"id": 7.0, "box": [1, 2.0, 30, 40], "votes": {"AN": 3, "HA": None, "SA": 1.5}, "tags": []}
    box = {"left": "box.0", "top": "box.1", "right": "box.2", "bottom": "box.3"}
    votes = {"votes": ("votes.AN", "votes.HA", "votes.SA")}
    native = {"votes.AN": "anger", "votes.HA": "happiness", "votes.SA": "sadness"}
    for kind in (".parquet", ".jsonl"):
        file = write_table(tmp_path / f"faces{kind}", [row])
        listing = read(file, path="{id:04}.png", box=box, native=native, **votes)
        assert [(row.path, row.boxes) for row in listing.rows] == [("0007.png", ((1, 2, 30, 40),))]
        assert found(listing) == {"0007.png": "anger"}


@pytest.mark.parametrize("type_", [pyarrow.int8(), pyarrow.uint64(), pyarrow.float32(), pyarrow.string()])
def test_numbers_of_any_type_are_the_same_words(tmp_path, type_):
    for number in range(3):
        (tmp_path / f"{number}.png").touch()
    numbers = ["0", "1", "2"] if type_ == pyarrow.string() else [0, 1, 2]
    table = pyarrow.table({"id": pyarrow.array([0, 1, 2]), "label": pyarrow.array(numbers, type_)})
    pyarrow.parquet.write_table(table, tmp_path / "faces.parquet")
    native = {0: "fear", 1: "happiness", 2: "fear"}
    listing = read(tmp_path / "faces.parquet", path="{id}.png", label="label", native=native)
    assert found(listing) == {"0.png": "fear", "1.png": "happiness", "2.png": "fear"}


def test_parquet_with_text_that_is_not_utf_8_or_columns_of_one_name(tmp_path):
    (tmp_path / "a.png").touch()
    offsets = pyarrow.py_buffer(np.array([0, 2], dtype=np.int32))
    bad = pyarrow.Array.from_buffers(pyarrow.utf8(), 1, [None, offsets, pyarrow.py_buffer(b"\xff\xfe")])
    pyarrow.parquet.write_table(pyarrow.table({"file": bad}), tmp_path / "bad.parquet")
    with pytest.raises(DataError, match=r"bad\.parquet: is not a Parquet file that can be read"):
        read(tmp_path / "bad.parquet")
    twice = pyarrow.Table.from_arrays([pyarrow.array(["a.png"]), pyarrow.array(["b.png"])], names=["file", "file"])
    pyarrow.parquet.write_table(twice, tmp_path / "twice.parquet")
    with pytest.raises(DataError, match=r"twice\.parquet: expected columns with different names.*file"):
        read(tmp_path / "twice.parquet")


def test_a_split_a_pattern_and_a_class_that_is_not_used(tmp_path):
    for name in ("a.png", "b.png", "c.png"):
        (tmp_path / name).touch()
    (tmp_path / "faces.csv").write_text(
        "file,split,mood\na.png,test_1,happy\nb.png,train_1,nobody knows\nc.png,test_2,sad\n"
    )
    listing = read(tmp_path / "faces.csv", label="mood", only={"split": "test_*"}, classes=("happiness", "fear"))
    assert found(listing) == {"a.png": "happiness"}
    assert "1 listed items are ignored: their class is not among happiness, fear" in listing.notes
    with pytest.raises(DataError, match=r"expected one image per line, found none"):
        read(tmp_path / "faces.csv", only={"split": "valid"})


def test_a_table_of_clips_in_folders_and_videos(tmp_path):
    """The first place that is there holds all clips."""
    rows = [{"clip": "1", "mood": "happy", "x": 1, "y": 2, "x2": 30, "y2": 40}, {"clip": "2", "mood": "sad"}]
    rows[1] |= {"x": 0, "y": 0, "x2": 9, "y2": 9}
    file = write_table(tmp_path / "clips.csv", rows)
    columns = {"path": ["frames/{clip}", "videos/{clip}.mp4"], "clips": True, "label": "mood", "box": BOX, "frames": 4}
    with pytest.raises(DataError, match=r"found no images in any of 2 clips, such as 'frames/1', 'frames/2'"):
        read(file, **columns)
    (tmp_path / "videos").mkdir()
    for number in (1, 2):
        (tmp_path / f"videos/{number}.mp4").touch()
    listing = read(file, **columns)
    assert found(listing) == {"videos/1.mp4": "happiness", "videos/2.mp4": "sadness"}
    assert [row.files for row in listing.rows] == [("videos/1.mp4",) * 4, ("videos/2.mp4",) * 4]
    assert [row.boxes for row in listing.rows] == [((1, 2, 30, 40),) * 4, ((0, 0, 9, 9),) * 4]
    assert listing.short_clip == "edge"
    for number in (1, 2):
        (tmp_path / f"frames/{number}").mkdir(parents=True)
        for frame in range(1, 3):
            (tmp_path / f"frames/{number}/{frame}.jpg").touch()
    folders = read(file, **columns)
    assert found(folders) == {"frames/1": "happiness", "frames/2": "sadness"}
    assert folders.rows[0].files == ("frames/1/1.jpg", *["frames/1/2.jpg"] * 3)
    assert folders.short_clip is None


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"label": "a", "votes": ("b",)}, "label and votes are both given"),
        ({"key": "{a}", "clips": True}, "key is for images with several faces"),
        ({"path": ()}, "at least 1 item"),
        ({"path": "{a.b}"}, "expected columns such as"),
        ({"box": {"left": "a", "top": "b"}}, "expected left and top, and either right and bottom or width and height"),
        ({"box": {**BOX, "width": "w"}}, "expected left and top, and either"),
        ({"separator": "semicolon"}, "separator"),
        ({"delimiter": ";"}, "delimiter"),
    ],
)
def test_tables_that_contradict_themselves(columns, message):
    with pytest.raises(ValidationError, match=message):
        Table(**{"path": "{file}", **columns})


def test_a_table_and_its_layout_go_together():
    for options in ({"layout": "table"}, {"layout": "image-folders", "table": {"path": "{file}"}}):
        with pytest.raises(ValidationError, match="layout: table and table: go together"):
            DatasetSettings(source="faces.csv", **options)
