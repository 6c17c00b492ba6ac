"""Layouts image-folders and frame-folders."""

import os
import sys
from pathlib import Path

import pytest

from expclip_cache.base.errors import DataError, SettingsError
from expclip_cache.datasets.build import build_manifest
from expclip_cache.datasets.read import read_rows
from expclip_cache.datasets.settings import DatasetSettings
from expclip_cache.datasets.tree import read_tree

SEVEN = ("happiness", "sadness", "neutral", "anger", "surprise", "disgust", "fear")


def write_files(root, *paths):
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(b"not an image; readers never open it")
    return root


def images(root, **settings):
    return read_rows(root, DatasetSettings(source=str(root), layout="image-folders", **settings))


def clips(root, **settings):
    return read_rows(root, DatasetSettings(source=str(root), layout="frame-folders", **settings))


def class_by_path(listing):
    return {row.path: listing.classes[row.label] for row in listing.rows}


def test_class_folders_by_their_common_names(tmp_path):
    write_files(tmp_path, "happy/1.png", "Angry/2.jpg", "sadness/deep/er/3.JPEG", "fearful/4.webp", "SURPRISED/5.TIF")
    listing = images(tmp_path)
    assert listing.classes == ("happiness", "sadness", "anger", "surprise", "fear")
    assert class_by_path(listing) == {
        "Angry/2.jpg": "anger",
        "SURPRISED/5.TIF": "surprise",
        "fearful/4.webp": "fear",
        "happy/1.png": "happiness",
        "sadness/deep/er/3.JPEG": "sadness",
    }
    assert [row.path for row in listing.rows] == sorted(class_by_path(listing))
    assert all(row.files == (row.path,) for row in listing.rows)
    assert listing.notes == ()


def test_folders_of_one_class_are_merged(tmp_path):
    listing = images(write_files(tmp_path, "happy/1.png", "happiness/1.png", "sad/1.png"))
    assert [row.label for row in listing.rows] == [0, 0, 1]


def test_given_classes_keep_their_labels_if_a_folder_is_missing(tmp_path):
    listing = images(write_files(tmp_path, "fear/1.png"), classes=SEVEN)
    assert listing.classes == SEVEN
    assert listing.rows[0].label == 6
    assert listing.notes == ("classes without items: happiness, sadness, neutral, anger, surprise, disgust",)


def test_classes_are_sorted_canonically_and_others_are_ignored_with_a_note(tmp_path):
    write_files(tmp_path, "fear/1.png", "happy/1.png", "contempt/1.png", "contempt/2.png")
    listing = images(tmp_path, classes=["fear", "happiness"])
    assert listing.classes == ("happiness", "fear")
    assert class_by_path(listing) == {"fear/1.png": "fear", "happy/1.png": "happiness"}
    assert listing.notes == ("2 items in 'contempt' are ignored: not among the classes happiness, fear",)


def test_user_defined_classes(tmp_path):
    listing = images(write_files(tmp_path, "boredom/1.png", "angry/1.png"), classes=["boredom", "anger"])
    assert listing.classes == ("anger", "boredom")
    assert class_by_path(listing) == {"boredom/1.png": "boredom", "angry/1.png": "anger"}


@pytest.mark.parametrize("folder", ["boredom", "3", "AN", "train"])
def test_an_unknown_class_folder_is_an_error_that_lists_the_known_classes(tmp_path, folder):
    write_files(tmp_path, "happy/1.png", f"{folder}/1.png")
    with pytest.raises(DataError, match=rf"no class is known for '{folder}'. Known classes: happiness, sadness") as e:
        images(tmp_path)
    assert str(tmp_path) in str(e.value)
    assert "definition" in str(e.value)


def test_rows_are_sorted_by_bytes_not_by_the_file_system(tmp_path):
    names = ["é.png", "z.png", "Y.png", "10.png", "9.png", "a b.png", "日本.png", "new\nline.png", "-.png"]
    write_files(tmp_path, *(f"fear/{name}" for name in names), "fear-x/1.png", "fear/a/1.png")
    (tmp_path / "fear-x").rename(tmp_path / "anger")
    listing = images(tmp_path)
    paths = [row.path for row in listing.rows]
    assert paths == sorted(paths, key=os.fsencode)
    assert {path.removeprefix("fear/") for path in paths} >= set(names)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux allows any bytes in file names")
def test_names_that_are_not_utf8_are_kept(tmp_path):
    write_files(tmp_path, *(f"fear/{os.fsdecode(name)}" for name in (b"\xff\xfe.png", b"a.png")))
    rows = images(tmp_path).rows
    assert [os.fsencode(row.path) for row in rows] == [b"fear/a.png", b"fear/\xff\xfe.png"]
    assert all((tmp_path / row.files[0]).exists() for row in rows)


def test_other_files_are_counted_and_hidden_files_are_skipped(tmp_path):
    write_files(tmp_path, "fear/1.png", "fear/list.txt", "fear/Thumbs.db", "fear/README", "fear/b.txt", "fear/1.gif")
    write_files(tmp_path, ".hidden/1.png", "fear/.DS_Store", "fear/._1.png", "stray.png")
    listing = images(tmp_path)
    assert [row.path for row in listing.rows] == ["fear/1.png"]
    assert listing.notes == (
        "1 images outside the class folders are ignored: 'stray.png'",
        "files ignored because they are not images: 1 without a suffix, 1 .db, 1 .gif, 2 .txt",
    )


def test_links_are_followed_and_broken_links_are_kept(tmp_path):
    root, store = tmp_path / "root", write_files(tmp_path / "store", "happy/1.png", "x.png")
    (root / "fear").mkdir(parents=True)
    (root / "happy").symlink_to(store / "happy")
    (root / "fear" / "file.png").symlink_to(store / "x.png")
    (root / "fear" / "gone.png").symlink_to(store / "nowhere.png")
    (root / "fear" / "self.png").symlink_to(root / "fear" / "self.png")
    assert [row.path for row in images(root).rows] == [
        "fear/file.png",
        "fear/gone.png",
        "fear/self.png",
        "happy/1.png",
    ]


def test_a_link_to_a_folder_above_is_an_error(tmp_path):
    write_files(tmp_path, "fear/1.png")
    (tmp_path / "fear" / "up").symlink_to(tmp_path)
    with pytest.raises(DataError, match="link to a folder above it"):
        images(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_named_pipe_is_ignored(tmp_path):
    write_files(tmp_path, "fear/1.png")
    os.mkfifo(tmp_path / "fear" / "pipe.png")
    assert [row.path for row in images(tmp_path).rows] == ["fear/1.png"]


def test_unlabelled_images_may_have_any_tree(tmp_path):
    write_files(tmp_path, "1.png", "a/b/c/2.png", "whatever/3.png")
    listing = images(tmp_path, labelled=False)
    assert [(row.path, row.label) for row in listing.rows] == [
        ("1.png", -1),
        ("a/b/c/2.png", -1),
        ("whatever/3.png", -1),
    ]
    assert listing.classes == ()


@pytest.mark.parametrize("read", [images, clips])
@pytest.mark.parametrize("labelled", [True, False])
def test_a_missing_or_empty_folder(tmp_path, read, labelled):
    with pytest.raises(DataError, match=r"expected a folder of images.*No such file") as e:
        read(tmp_path / "absent", labelled=labelled)
    assert str(tmp_path / "absent") in str(e.value)
    with pytest.raises(DataError, match=r"expected .*, found no images\."):
        read(tmp_path, labelled=labelled)
    write_files(tmp_path, "fear/list.txt")
    with pytest.raises(
        DataError, match=r"found no images( in any of 1 clips|; files ignored because they are not images: 1 .txt)"
    ):
        read(tmp_path, labelled=labelled)


def test_a_root_that_is_a_file(tmp_path):
    with pytest.raises(DataError, match="Not a directory"):
        images(write_files(tmp_path, "fear/1.png") / "fear" / "1.png")


def test_flat_images_instead_of_class_folders(tmp_path):
    with pytest.raises(DataError, match=r"expected <class>/<image>, found 1 images elsewhere, such as '1.png'"):
        images(write_files(tmp_path, "1.png"))


def test_clips_become_rows_of_sampled_frames(tmp_path):
    write_files(tmp_path, *(f"happy/00001/{n:03}.png" for n in range(40)), *(f"sad/scene/7/{n}.jpg" for n in range(3)))
    listing = clips(tmp_path, frames=4, short_clip="edge")
    assert listing.classes == ("happiness", "sadness")
    assert [(row.path, row.label) for row in listing.rows] == [("happy/00001", 0), ("sad/scene/7", 1)]
    assert listing.rows[0].files == tuple(f"happy/00001/{n:03}.png" for n in (5, 15, 25, 35))
    assert listing.rows[1].files == tuple(f"sad/scene/7/{n}.jpg" for n in (0, 1, 2, 2))
    assert listing.notes == ("1 of 2 clips have at most 4 frames (short_clip: edge)",)
    assert clips(tmp_path, frames=4, short_clip="first").rows[1].files == ("sad/scene/7/0.jpg",) * 4


def test_frames_are_sorted_by_number_and_otherwise_by_the_bytes_of_their_names(tmp_path):
    write_files(tmp_path, *(f"happy/c/{name}.png" for name in ("10", "2", "B", "a", "é")))
    files = clips(tmp_path, frames=5).rows[0].files
    assert [file.rsplit("/")[-1] for file in files] == ["2.png", "10.png", "B.png", "a.png", "é.png"]


def test_clips_are_sorted_by_the_bytes_of_their_paths(tmp_path):
    write_files(tmp_path, *(f"happy/{clip}/0.png" for clip in ("é", "a", "B", "10", "9", "a-1", "a/x")))
    (tmp_path / "happy" / "A").mkdir()
    paths = [row.path.removeprefix("happy/") for row in clips(tmp_path).rows]
    assert paths == ["10", "9", "A", "B", "a", "a-1", "a/x", "é"]


def test_unlabelled_clips(tmp_path):
    write_files(tmp_path, "c1/0.png", "deep/c2/0.png", "stray.png")
    listing = clips(tmp_path, labelled=False, frames=2)
    assert [(row.path, row.label, len(row.files)) for row in listing.rows] == [("c1", -1, 2), ("deep/c2", -1, 2)]
    assert "1 images outside the clip folders are ignored: 'stray.png'" in listing.notes


def test_a_clip_without_frames_keeps_its_row_and_is_noted(tmp_path):
    write_files(tmp_path, "happy/1/0.png", "happy/3/notes.txt", "happy/4/0.png")
    (tmp_path / "happy" / "2").mkdir()
    (tmp_path / "fear").mkdir()
    listing = clips(tmp_path, frames=2, classes=["happiness", "fear"])
    assert [(row.path, row.files) for row in listing.rows] == [
        ("happy/1", ("happy/1/0.png",) * 2),
        ("happy/2", ("happy/2",) * 2),
        ("happy/3", ("happy/3",) * 2),
        ("happy/4", ("happy/4/0.png",) * 2),
    ]
    assert "2 of 4 clips have no frames and will fail to decode: 'happy/2', 'happy/3'" in listing.notes
    assert listing.notes[0] == "classes without items: fear"
    assert not any("outside" in note for note in listing.notes)


def test_only_clips_without_frames(tmp_path):
    (tmp_path / "happy" / "1").mkdir(parents=True)
    with pytest.raises(DataError, match=r"found no images in any of 1 clips, such as 'happy/1'"):
        clips(tmp_path)


def test_no_folder_of_the_given_classes(tmp_path):
    with pytest.raises(DataError, match=r"expected folders of the classes anger, fear, found only 'happy'"):
        images(write_files(tmp_path, "happy/1.png"), classes=["anger", "fear"])


def test_frames_directly_in_a_class_folder_are_not_a_clip(tmp_path):
    listing = clips(write_files(tmp_path, "happy/1.png", "happy/clip/1.png"))
    assert [row.path for row in listing.rows] == ["happy/clip"]
    assert "1 images outside the clip folders are ignored: 'happy/1.png'" in listing.notes


def test_images_instead_of_clips(tmp_path):
    write_files(tmp_path, "happy/1.png", "happy/2.png")
    with pytest.raises(DataError, match=r"expected <class>/<clip>/<frame> or videos, found 2 images elsewhere"):
        clips(tmp_path)


def test_settings_that_contradict_each_other():
    for settings, message in [
        ({}, "needs layout: image-folders, frame-folders, webdataset or parquet, .*, found none"),
        ({"layout": "clip-list"}, "found clip-list; other layouts need a definition"),
        ({"layout": "image-folders", "fold": 1}, "only a definition file can have folds"),
        ({"layout": "image-folders", "labelled": False, "classes": ["fear"]}, "labelled is false"),
        ({"layout": "folders"}, "layout"),
        ({"layout": "image-folders", "samples": {}}, "samples is given, which is for layout: webdataset or parquet"),
    ]:
        with pytest.raises(ValueError, match=message):
            DatasetSettings(source="data/x", **settings)


def test_settings_that_contradict_the_definition(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("{name: mine, title: Mine, layout: image-folders, classes: [happiness, fear]}")
    write_files(tmp_path / "data", "happy/1.png", "fear/1.png")
    assert len(read_rows(tmp_path / "data", DatasetSettings(source=str(file), classes=("fear", "happiness"))).rows) == 2
    for settings, message in [
        ({"layout": "frame-folders"}, "has layout image-folders, but the settings say frame-folders"),
        ({"classes": ["fear"]}, "has the classes happiness, fear, but the settings say fear"),
        ({"fold": 2}, "expected no fold, found 2"),
    ]:
        with pytest.raises(SettingsError, match=message):
            read_rows(tmp_path / "data", DatasetSettings(source=str(file), **settings))


LEFT = ["@eaDir", "#recycle", "$RECYCLE.BIN", "__MACOSX", "lost+found", "System Volume Information"]
"""Folders of file servers, Windows, macOS and Linux."""


@pytest.mark.parametrize("left", LEFT)
def test_what_file_systems_leave_is_passed_over_with_a_note(tmp_path, left):
    write_files(tmp_path, "happy/a.png", f"happy/{left}/a.png/thumb.jpg", f"{left}/happy/b.png", "fear/c.png")
    listing = images(tmp_path)
    assert [row.path for row in listing.rows] == ["fear/c.png", "happy/a.png"]
    note = f"folders ignored because a file server or an operating system made them: 2 {left}"
    assert note in listing.notes


def test_a_folder_beside_the_frames_of_a_clip_is_not_another_clip(tmp_path):
    write_files(tmp_path, "happy/clip/0.png", "happy/clip/1.png", "happy/clip/@eaDir/0.png/thumb.jpg")
    (tmp_path / "happy/clip/meta").mkdir()
    (tmp_path / "happy/empty").mkdir()
    listing = clips(tmp_path)
    assert [row.path for row in listing.rows] == ["happy/clip", "happy/empty"]


def test_a_tree_without_an_end_is_an_error(tmp_path, monkeypatch):
    """As a loop of copies leaves it. With 1,200 levels, more than Python can recurse, pytest could not delete it."""
    monkeypatch.chdir(tmp_path)
    for _ in range(150):
        Path("d").mkdir()
        monkeypatch.chdir("d")
    with pytest.raises(DataError, match="is 100 folders below the dataset's, deeper than any dataset"):
        read_tree(tmp_path)


@pytest.mark.skipif(sys.platform == "darwin", reason="names of files are UTF-8")
def test_a_folder_whose_path_is_not_utf8_is_read_from_within(tmp_path, monkeypatch):
    root = tmp_path / os.fsdecode(b"caf\xe9")
    write_files(root, "a/1.jpg")
    with pytest.raises(SettingsError, match=r"the path '.*caf\\udce9' is not UTF-8.*call it `\.`"):
        build_manifest(root)
    monkeypatch.chdir(root)
    assert [row.path for row in build_manifest(".").rows] == ["a/1.jpg"]
