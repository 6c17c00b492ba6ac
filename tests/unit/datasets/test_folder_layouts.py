import os
import sys

import pytest

from expclip_cache.base.errors import DataError, SettingsError
from expclip_cache.datasets.read import read_rows
from expclip_cache.datasets.settings import DatasetSettings

SEVEN = ("happiness", "sadness", "neutral", "anger", "surprise", "disgust", "fear")


def plant(root, *paths):
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(b"never opened")
    return root


def images(root, **settings):
    return read_rows(root, DatasetSettings(source=str(root), layout="image-folders", **settings))


def clips(root, **settings):
    return read_rows(root, DatasetSettings(source=str(root), layout="frame-folders", **settings))


def named(listing):
    return {row.path: listing.classes[row.label] for row in listing.rows}


def test_class_folders_by_their_common_names(tmp_path):
    plant(tmp_path, "happy/1.png", "Angry/2.jpg", "sadness/deep/er/3.JPEG", "fearful/4.webp", "SURPRISED/5.TIF")
    listing = images(tmp_path)
    assert listing.classes == ("happiness", "sadness", "anger", "surprise", "fear")
    assert named(listing) == {
        "Angry/2.jpg": "anger",
        "SURPRISED/5.TIF": "surprise",
        "fearful/4.webp": "fear",
        "happy/1.png": "happiness",
        "sadness/deep/er/3.JPEG": "sadness",
    }
    assert [row.path for row in listing.rows] == sorted(named(listing))
    assert all(row.files == (row.path,) for row in listing.rows)
    assert listing.notes == ()


def test_two_names_of_one_class_join(tmp_path):
    listing = images(plant(tmp_path, "happy/1.png", "happiness/1.png", "sad/1.png"))
    assert [row.label for row in listing.rows] == [0, 0, 1]


def test_classes_given_keep_their_labels_when_a_folder_is_absent(tmp_path):
    listing = images(plant(tmp_path, "fear/1.png"), classes=SEVEN)
    assert listing.classes == SEVEN
    assert listing.rows[0].label == 6
    assert listing.notes == ("classes without an item: happiness, sadness, neutral, anger, surprise, disgust",)


def test_classes_are_put_into_canonical_order_and_others_passed_over_with_a_note(tmp_path):
    plant(tmp_path, "fear/1.png", "happy/1.png", "contempt/1.png", "contempt/2.png")
    listing = images(tmp_path, classes=["fear", "happiness"])
    assert listing.classes == ("happiness", "fear")
    assert named(listing) == {"fear/1.png": "fear", "happy/1.png": "happiness"}
    assert listing.notes == ("2 items in 'contempt' are ignored: not among the classes happiness, fear",)


def test_classes_of_ones_own(tmp_path):
    listing = images(plant(tmp_path, "boredom/1.png", "angry/1.png"), classes=["boredom", "anger"])
    assert listing.classes == ("anger", "boredom")
    assert named(listing) == {"boredom/1.png": "boredom", "angry/1.png": "anger"}


@pytest.mark.parametrize("folder", ["boredom", "3", "AN", "train"])
def test_an_unknown_class_folder_is_an_error_that_names_the_known_ones(tmp_path, folder):
    plant(tmp_path, "happy/1.png", f"{folder}/1.png")
    with pytest.raises(DataError, match=rf"no class is known for '{folder}'. Known classes: happiness, sadness") as e:
        images(tmp_path)
    assert str(tmp_path) in str(e.value)
    assert "definition" in str(e.value)


def test_order_is_by_bytes_not_by_file_system(tmp_path):
    names = ["é.png", "z.png", "Y.png", "10.png", "9.png", "a b.png", "日本.png", "new\nline.png", "-.png"]
    plant(tmp_path, *(f"fear/{name}" for name in names), "fear-x/1.png", "fear/a/1.png")
    (tmp_path / "fear-x").rename(tmp_path / "anger")
    listing = images(tmp_path)
    paths = [row.path for row in listing.rows]
    assert paths == sorted(paths, key=os.fsencode)
    assert {path.removeprefix("fear/") for path in paths} >= set(names)


@pytest.mark.skipif(sys.platform != "linux", reason="file names are free bytes only here")
def test_names_that_are_no_utf8_survive(tmp_path):
    plant(tmp_path, *(f"fear/{os.fsdecode(name)}" for name in (b"\xff\xfe.png", b"a.png")))
    rows = images(tmp_path).rows
    assert [os.fsencode(row.path) for row in rows] == [b"fear/a.png", b"fear/\xff\xfe.png"]
    assert all((tmp_path / row.files[0]).exists() for row in rows)


def test_what_is_no_image_is_counted_and_hidden_files_are_not_looked_at(tmp_path):
    plant(tmp_path, "fear/1.png", "fear/list.txt", "fear/Thumbs.db", "fear/README", "fear/b.txt", "fear/1.gif")
    plant(tmp_path, ".hidden/1.png", "fear/.DS_Store", "fear/._1.png", "stray.png")
    listing = images(tmp_path)
    assert [row.path for row in listing.rows] == ["fear/1.png"]
    assert listing.notes == (
        "1 images lie outside the class folders and are ignored: 'stray.png'",
        "files ignored because they are no images: 1 without suffix, 1 .db, 1 .gif, 2 .txt",
    )


def test_links_are_followed_and_dangling_ones_kept(tmp_path):
    root, store = tmp_path / "root", plant(tmp_path / "store", "happy/1.png", "x.png")
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


def test_a_link_upwards_is_an_error_not_an_endless_walk(tmp_path):
    plant(tmp_path, "fear/1.png")
    (tmp_path / "fear" / "up").symlink_to(tmp_path)
    with pytest.raises(DataError, match="link to a folder above it"):
        images(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_no_image(tmp_path):
    plant(tmp_path, "fear/1.png")
    os.mkfifo(tmp_path / "fear" / "pipe.png")
    assert [row.path for row in images(tmp_path).rows] == ["fear/1.png"]


def test_unlabelled_images_in_any_tree(tmp_path):
    plant(tmp_path, "1.png", "a/b/c/2.png", "whatever/3.png")
    listing = images(tmp_path, labelled=False)
    assert [(row.path, row.label) for row in listing.rows] == [
        ("1.png", -1),
        ("a/b/c/2.png", -1),
        ("whatever/3.png", -1),
    ]
    assert listing.classes == ()


@pytest.mark.parametrize("read", [images, clips])
@pytest.mark.parametrize("labelled", [True, False])
def test_nothing_to_read(tmp_path, read, labelled):
    with pytest.raises(DataError, match=r"expected a folder of images.*No such file") as e:
        read(tmp_path / "absent", labelled=labelled)
    assert str(tmp_path / "absent") in str(e.value)
    with pytest.raises(DataError, match=r"found no image at all"):
        read(tmp_path, labelled=labelled)
    plant(tmp_path, "fear/list.txt")
    with pytest.raises(DataError, match=r"found no image.*"):
        read(tmp_path, labelled=labelled)


def test_a_file_for_a_root(tmp_path):
    with pytest.raises(DataError, match="Not a directory"):
        images(plant(tmp_path, "fear/1.png") / "fear" / "1.png")


def test_flat_images_where_class_folders_belong(tmp_path):
    with pytest.raises(DataError, match=r"expected <class>/<image>, found 1 images elsewhere, such as '1.png'"):
        images(plant(tmp_path, "1.png"))


def test_clips(tmp_path):
    plant(tmp_path, *(f"happy/00001/{n:03}.png" for n in range(40)), *(f"sad/scene/7/{n}.jpg" for n in range(3)))
    listing = clips(tmp_path, frames=4, short_clip="edge")
    assert listing.classes == ("happiness", "sadness")
    assert [(row.path, row.label) for row in listing.rows] == [("happy/00001", 0), ("sad/scene/7", 1)]
    assert listing.rows[0].files == tuple(f"happy/00001/{n:03}.png" for n in (5, 15, 25, 35))
    assert listing.rows[1].files == tuple(f"sad/scene/7/{n}.jpg" for n in (0, 1, 2, 2))
    assert listing.notes == ("1 of 2 clips have at most 4 frames (short_clip: edge)",)
    assert clips(tmp_path, frames=4, short_clip="first").rows[1].files == ("sad/scene/7/0.jpg",) * 4


def test_frames_are_sorted_by_the_bytes_of_their_names(tmp_path):
    plant(tmp_path, *(f"happy/c/{name}.png" for name in ("10", "2", "B", "a", "é")))
    files = clips(tmp_path, frames=5).rows[0].files
    assert [file.rsplit("/")[-1] for file in files] == ["10.png", "2.png", "B.png", "a.png", "é.png"]


def test_clips_are_sorted_by_the_bytes_of_their_paths(tmp_path):
    plant(tmp_path, *(f"happy/{clip}/0.png" for clip in ("é", "a", "B", "10", "9", "a-1", "a/x")))
    (tmp_path / "happy" / "A").mkdir()
    paths = [row.path.removeprefix("happy/") for row in clips(tmp_path).rows]
    assert paths == ["10", "9", "A", "B", "a", "a-1", "a/x", "é"]


def test_unlabelled_clips(tmp_path):
    plant(tmp_path, "c1/0.png", "deep/c2/0.png", "stray.png")
    listing = clips(tmp_path, labelled=False, frames=2)
    assert [(row.path, row.label, len(row.files)) for row in listing.rows] == [("c1", -1, 2), ("deep/c2", -1, 2)]
    assert "1 images lie outside the clip folders and are ignored: 'stray.png'" in listing.notes


def test_a_clip_without_frames_keeps_its_row_and_says_so(tmp_path):
    plant(tmp_path, "happy/1/0.png", "happy/3/notes.txt")
    (tmp_path / "happy" / "2").mkdir()
    (tmp_path / "fear").mkdir()
    listing = clips(tmp_path, frames=2, classes=["happiness", "fear"])
    assert [(row.path, row.files) for row in listing.rows] == [
        ("happy/1", ("happy/1/0.png",) * 2),
        ("happy/2", ("happy/2",) * 2),
        ("happy/3", ("happy/3",) * 2),
    ]
    assert "2 of 3 clips have no frames and will fail to decode: 'happy/2', 'happy/3'" in listing.notes
    assert listing.notes[0] == "classes without an item: fear"
    assert not any("outside" in note for note in listing.notes)


def test_only_clips_without_frames(tmp_path):
    (tmp_path / "happy" / "1").mkdir(parents=True)
    with pytest.raises(DataError, match=r"found no image in any of 1 clips, for example 'happy/1'"):
        clips(tmp_path)


def test_only_classes_that_are_not_wanted(tmp_path):
    with pytest.raises(DataError, match=r"expected folders of anger, fear, found only 'happy'"):
        images(plant(tmp_path, "happy/1.png"), classes=["anger", "fear"])


def test_frames_in_a_class_folder_are_no_clip(tmp_path):
    listing = clips(plant(tmp_path, "happy/1.png", "happy/clip/1.png"))
    assert [row.path for row in listing.rows] == ["happy/clip"]
    assert "1 images lie outside the clip folders and are ignored: 'happy/1.png'" in listing.notes


def test_images_where_clips_belong(tmp_path):
    plant(tmp_path, "happy/1.png", "happy/2.png")
    with pytest.raises(DataError, match=r"expected <class>/<clip>/<frame>, found 2 images elsewhere"):
        clips(tmp_path)


def test_settings_that_contradict_each_other():
    for settings, message in [
        ({}, "needs layout: image-folders or frame-folders, found none"),
        ({"layout": "clip-list"}, "found clip-list; anything else needs a definition"),
        ({"layout": "image-folders", "fold": 1}, "only a definition file can have folds"),
        ({"layout": "image-folders", "labelled": False, "classes": ["fear"]}, "labelled is false"),
        ({"layout": "folders"}, "layout"),
    ]:
        with pytest.raises(ValueError, match=message):
            DatasetSettings(source="data/x", **settings)


def test_settings_that_contradict_the_definition(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("{name: mine, title: Mine, layout: image-folders, classes: [happiness, fear]}")
    plant(tmp_path / "data", "happy/1.png", "fear/1.png")
    assert len(read_rows(tmp_path / "data", DatasetSettings(source=str(file), classes=["fear", "happiness"])).rows) == 2
    for settings, message in [
        ({"layout": "frame-folders"}, "has layout image-folders, the settings say frame-folders"),
        ({"classes": ["fear"]}, "has the classes happiness, fear; the settings say fear"),
        ({"fold": 2}, "expected no fold, found 2"),
    ]:
        with pytest.raises(SettingsError, match=message):
            read_rows(tmp_path / "data", DatasetSettings(source=str(file), **settings))
