"""Layout clip-list: lists of clips by folder, frame count and class."""

import os

import pytest

from expclip_cache.base.errors import DataError, SettingsError
from expclip_cache.datasets.definition import builtin_definitions
from expclip_cache.datasets.read import read_rows
from expclip_cache.datasets.settings import DatasetSettings

MINE = """
name: mine
title: Mine
layout: clip-list
classes: [happiness, sadness, fear]
native: {0: fear, 1: happiness, 2: sadness}
clip_list: {files: [other.txt, list.txt], columns: COLUMNS, folder_parts: 2}
"""


@pytest.fixture
def definition(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text(MINE.replace("COLUMNS", "3"))
    return file


def write_clips(root, frames, lines, name="list.txt"):
    """Write clips (clip -> number of empty frames) and a list with these lines."""
    for clip, count in frames.items():
        (root / clip).mkdir(parents=True)
        for number in range(count):
            (root / clip / f"{number:04}.jpg").touch()
    root.mkdir(exist_ok=True)
    (root / name).write_bytes(os.fsencode("\n".join(lines) + "\n"))
    return root


def read(root, definition, **settings):
    return read_rows(root, DatasetSettings(source=str(definition), **settings))


def test_native_numbers_become_classes_and_foreign_absolute_paths_become_relative(tmp_path, definition):
    root = write_clips(
        tmp_path / "data",
        {"a/2": 20, "a/1": 3, "b/1 x": 1},
        ["/their/disk/a/2 20 0", "/their/disk/a/1 3 1", "", "/their/disk/b/1 x 1 2\r"],
    )
    listing = read(root, definition, frames=4, short_clip="first")
    assert listing.classes == ("happiness", "sadness", "fear")
    assert [(row.path, listing.classes[row.label]) for row in listing.rows] == [
        ("a/1", "happiness"),
        ("a/2", "fear"),
        ("b/1 x", "sadness"),
    ]
    assert listing.rows[0].files == ("a/1/0000.jpg",) * 4
    assert listing.rows[1].files == tuple(f"a/2/{n:04}.jpg" for n in (2, 7, 12, 17))
    assert listing.notes == ("2 of 3 clips have at most 4 frames (short_clip: first)",)


def test_a_wrong_native_mapping_changes_the_labels(tmp_path, definition):
    root = write_clips(tmp_path / "data", {"a/1": 1}, ["a/1 1 0"])
    right = read(root, definition)
    definition.write_text(definition.read_text().replace("0: fear, 1: happiness", "0: happiness, 1: fear"))
    wrong = read(root, definition)
    assert right.classes[right.rows[0].label] == "fear"
    assert wrong.classes[wrong.rows[0].label] == "happiness"


def test_frames_in_the_folder_are_used_where_the_listed_count_differs(tmp_path, definition):
    root = write_clips(tmp_path / "data", {"a/1": 8, "a/2": 9, "a/3": 8}, ["a/1 9 0", "a/2 9 1", "a/3 7 2"])
    listing = read(root, definition, frames=2)
    assert listing.rows[0].files == ("a/1/0002.jpg", "a/1/0006.jpg")
    assert listing.notes == (
        "2 of 3 clips have a different frame count than listed: 'a/1: listed 9, found 8', 'a/3: listed 7, found 8'",
    )


def test_a_listed_clip_without_frames_keeps_its_row(tmp_path, definition):
    frames = {"a/0": 8, "a/1": 8, "a/2": 0}
    root = write_clips(tmp_path / "data", frames, ["a/0 8 0", "a/1 8 0", "a/2 8 1", "a/3 8 2"])
    listing = read(root, definition, frames=2)
    assert [row.files for row in listing.rows[2:]] == [("a/2",) * 2, ("a/3",) * 2]
    assert "2 of 4 clips have no frames and will fail to decode: 'a/2', 'a/3'" in listing.notes


def test_no_listed_clip_exists(tmp_path, definition):
    root = write_clips(tmp_path / "data", {}, ["a/1 8 0"])
    with pytest.raises(DataError, match=r"found no images in any of 1 clips, such as 'a/1'. Check the root"):
        read(root, definition)


def test_class_names_in_a_list_of_two_columns(tmp_path, definition):
    definition.write_text(MINE.replace("COLUMNS", "2"))
    root = write_clips(tmp_path / "data", {"Action/0001": 1, "War/7 8": 1}, ["Action/0001 Happy", "War/7 8 Fear"])
    listing = read(root, definition)
    assert [(row.path, listing.classes[row.label]) for row in listing.rows] == [
        ("Action/0001", "happiness"),
        ("War/7 8", "fear"),
    ]


def test_names_that_are_not_utf8_are_kept(tmp_path, definition):
    name = os.fsdecode(b"a/\xff")
    listing = read(write_clips(tmp_path / "data", {name: 1}, [f"{name} 1 0"]), definition)
    assert os.fsencode(listing.rows[0].path) == b"a/\xff"


def test_unlabelled_lists_and_clips_of_other_classes(tmp_path, definition):
    root = write_clips(tmp_path / "data", {"a/1": 1, "a/2": 1}, ["a/1 1 0", "a/2 1 contempt"])
    listing = read(root, definition, labelled=False)
    assert [row.label for row in listing.rows] == [-1, -1]
    assert listing.classes == ()
    listing = read(root, definition)
    assert [row.path for row in listing.rows] == ["a/1"]
    assert "1 listed clips are ignored: their class is not among happiness, sadness, fear" in listing.notes


def test_a_clip_listed_twice_gives_two_rows_and_a_note(tmp_path, definition):
    listing = read(write_clips(tmp_path / "data", {"a/1": 1}, ["a/1 1 0", "x/a/1 1 0"]), definition)
    assert [row.path for row in listing.rows] == ["a/1", "a/1"]
    assert "1 clips are listed more than once and have a row per listing: 'a/1'" in listing.notes


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a/1 1", r"list.txt, line 2: expected `folder frame_count class`, found 'a/1 1'"),
        ("a/1 many 0", r"line 2: expected .*found 'a/1 many 0'"),
        ("a/1 1 3", r"list.txt: no class is known for '3'. Known classes: happiness, sadness, fear. Also: 0 \(fear\)"),
    ],
)
def test_invalid_lines(tmp_path, definition, line, message):
    with pytest.raises(DataError, match=message):
        read(write_clips(tmp_path / "data", {"a/1": 1}, ["a/1 1 0", line]), definition)


def test_a_missing_or_empty_list(tmp_path, definition):
    with pytest.raises(DataError, match=r"expected the clip list other.txt or list.txt in this folder, found none"):
        read(tmp_path, definition)
    with pytest.raises(DataError, match=r"found no such folder"):
        read(tmp_path / "absent", definition)
    (tmp_path / "list.txt").write_text("\n\n")
    with pytest.raises(DataError, match="found an empty list"):
        read(tmp_path, definition)


def test_folds(tmp_path):
    definition = builtin_definitions()["dfew"]
    root = write_clips(tmp_path, {"00001": 16, "00002": 17}, ["/x/DFEW_Frame_Face/00002 17 6"], "DFEW_set_2_test.txt")
    write_clips(tmp_path, {}, ["/x/DFEW_Frame_Face/00001 16 0"], "DFEW_set_5_test.txt")
    second, fifth = (read(root, definition, fold=fold) for fold in (2, 5))
    assert [(row.path, second.classes[row.label]) for row in second.rows] == [("00002", "fear")]
    assert [(row.path, fifth.classes[row.label]) for row in fifth.rows] == [("00001", "happiness")]
    assert any("1 items instead of the published 2336" in note for note in fifth.notes)
    for fold in (None, 6):
        with pytest.raises(SettingsError, match=rf"expected fold: one of \[1, 2, 3, 4, 5\], found {fold}"):
            read(root, definition, fold=fold)


def test_the_listed_frame_count_decides_if_it_is_asked_to(tmp_path, definition):
    """As the reference samples: 8 frames of which the list knows 4, and 3 of which it knows 8."""
    frames = {"a/1": 8, "a/2": 3}
    root = write_clips(tmp_path / "data", frames, ["a/1 4 0", "a/2 8 1"])
    rows = read(root, definition, frames=2, frame_count="listed").rows
    assert rows[0].files == ("a/1/0001.jpg", "a/1/0003.jpg")
    assert rows[1].files == ("a/2/0002.jpg", "a/2/0002.jpg")
    assert read(root, definition, frames=2).rows[0].files == ("a/1/0002.jpg", "a/1/0006.jpg")


@pytest.mark.parametrize(
    "save",
    [
        lambda text: b"\xef\xbb\xbf" + text.encode(),
        lambda text: text.encode("utf-16"),
        lambda text: text.encode("utf-16-be").join([b"\xfe\xff", b""]),
        lambda text: text.replace("\n", "\r\n").encode(),
        lambda text: text.replace("\n", "\r").encode(),
        lambda text: text.replace(" 20 ", "/ 20 ").encode(),
    ],
    ids=["UTF-8 mark", "UTF-16", "UTF-16 big-endian", "CRLF", "CR", "trailing slash"],
)
def test_lists_as_editors_and_spreadsheets_save_them(tmp_path, save):
    names = ["00001", "00002", "00003"]
    for name in names:
        (tmp_path / name).mkdir()
        for frame in range(20):
            (tmp_path / f"{name}/{frame:02}.jpg").touch()
    file = tmp_path / "DFEW_set_1_test.txt"
    file.write_bytes(save("".join(f"{name} 20 {label}\n" for label, name in enumerate(names))))
    definition = builtin_definitions()["dfew"]
    listing = read_rows(tmp_path, DatasetSettings(source=str(definition), fold=1))
    assert [row.path for row in listing.rows] == names
    assert [listing.classes[row.label] for row in listing.rows] == ["happiness", "sadness", "neutral"]
    file.write_bytes(b"\xff\xfe0")
    with pytest.raises(DataError, match="begins as UTF-16 and is not"):
        read_rows(tmp_path, DatasetSettings(source=str(definition), fold=1))
    for labels in ((1, 2, 7), (1, 2, 3)):
        file.write_text("".join(f"{name} 20 {label}\n" for label, name in zip(labels, names, strict=True)))
        with pytest.raises(DataError, match=r"no clip has the class 0 \(happiness\).*numbered from 1.*Subtract 1"):
            read_rows(tmp_path, DatasetSettings(source=str(definition), fold=1))
