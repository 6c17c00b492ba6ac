"""Every benchmark as its makers ship it, in miniature, and copies of it that go about."""

import csv
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from expclip_cache.base.errors import DataError, SettingsError
from expclip_cache.datasets.definition import builtin_definitions, load_definition
from expclip_cache.datasets.read import read_rows
from expclip_cache.datasets.settings import DatasetSettings
from expclip_cache.datasets.tree import by_number
from native_trees import write_dataset, write_shipped

SHIPPED = ("raf-db", "affectnet-7", "affectnet-8", "ferplus-csv", "dfew", "ferv39k", "mafw", "afew")


def read(root, name, **settings):
    return read_rows(root, DatasetSettings(source=str(builtin_definitions()[name]), **settings))


def found(listing):
    return {row.path: listing.classes[row.label] for row in listing.rows}


@pytest.mark.parametrize("name", SHIPPED)
def test_rows_and_labels_of_the_makers_archive(tmp_path, name):
    folder = "affectnet" if name.startswith("affectnet") else name
    for fold, truth in write_shipped(tmp_path, folder, 1 if name == "mafw" else 2).items():
        listing = read(tmp_path / folder, name, fold=fold)
        expected = {path: label for path, label in truth.items() if name != "affectnet-7" or label != "contempt"}
        assert found(listing) == expected
        assert any(note.startswith("read as shipped: ") for note in listing.notes)
        files = {file for row in listing.rows for file in row.files}
        assert all((tmp_path / folder / file).is_file() for file in files)
        unlabelled = read(tmp_path / folder, name, fold=fold, labelled=False)
        assert {row.path for row in unlabelled.rows} == set(truth)
        assert {row.label for row in unlabelled.rows} == {-1}


@pytest.mark.parametrize("name", ["raf-db", "affectnet", "ferplus-csv", "dfew", "mafw", "ferv39k", "afew"])
def test_sorted_copies_and_the_references_lists_are_read_as_before(tmp_path, name):
    definition = "affectnet-8" if name == "affectnet" else name
    for fold, truth in write_dataset(tmp_path, name, 1 if name == "mafw" else 2).items():
        listing = read(tmp_path / name, definition, fold=fold)
        assert found(listing) == truth
        assert not any("as shipped" in note for note in listing.notes)


def test_frames_without_padding_are_in_the_order_of_their_numbers(tmp_path):
    (truth, *_) = write_shipped(tmp_path, "dfew").values()
    listing = read(tmp_path / "dfew", "dfew", fold=1)
    long = next(row for row in listing.rows if len(set(row.files)) == 16)
    numbers = [int(file.rpartition("/")[2].removesuffix(".jpg")) for file in long.files]
    assert numbers == [1 + int(18 / 16 * (k + 0.5)) for k in range(16)]
    assert len(truth) == len(listing.rows)


@given(st.lists(st.tuples(st.sampled_from(["", "a", "b-", "img_"]), st.integers(0, 99_999)), max_size=30))
def test_padded_names_keep_the_order_of_their_bytes(parts):
    names = [f"{text}{number:05}.jpg" for text, number in parts]
    assert sorted(names, key=by_number) == sorted(names, key=str.encode)
    loose = [f"x{number}.jpg" for _, number in parts]
    assert [int(name[1:-4]) for name in sorted(loose, key=by_number)] == sorted(number for _, number in parts)


@pytest.mark.parametrize(
    ("archive", "copy"), [("EmoLabel", "basic/EmoLabel"), ("Image", "basic/Image")], ids=["list", "images"]
)
def test_raf_db_below_a_folder_of_its_archive(tmp_path, archive, copy):
    truth = write_shipped(tmp_path, "raf-db")[None]
    root = tmp_path / "raf-db"
    (root / "basic").mkdir()
    for folder in ("EmoLabel", "Image"):
        (root / folder).rename(root / "basic" / folder)
    assert found(read(root, "raf-db")) == {f"basic/{path}": label for path, label in truth.items()}
    assert (root / copy).exists()
    assert not (root / archive).exists()


def test_raf_db_in_a_sorted_copy(tmp_path):
    (tmp_path / "DATASET/test").mkdir(parents=True)
    truth = write_dataset(tmp_path, "raf-db")[None]
    (tmp_path / "raf-db").rename(tmp_path / "DATASET/test/x")
    for folder in (tmp_path / "DATASET/test/x").iterdir():
        folder.rename(tmp_path / "DATASET/test" / folder.name)
    (tmp_path / "DATASET/test/x").rmdir()
    assert found(read(tmp_path, "raf-db")) == {f"DATASET/test/{path}": label for path, label in truth.items()}


def test_affectnets_numbers_without_a_class_are_passed_over(tmp_path):
    """Folders 8, 9 and 10 are none, uncertain and no face."""
    for word in range(11):
        (tmp_path / str(word)).mkdir()
        (tmp_path / f"{word}/1.jpg").touch()
    listing = read(tmp_path, "affectnet-8")
    assert sorted(found(listing)) == [f"{word}/1.jpg" for word in range(8)]
    for word in (8, 9, 10):
        assert any(note.startswith(f"1 items in '{word}' are ignored") for note in listing.notes)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.array([1, 2]), "expected a NumPy file with one number or text"),
        (np.array({"a": 1}, dtype=object), "expected a NumPy file with one number or text"),
        (np.array("11"), r"no class is known for '11'"),
    ],
    ids=["several", "pickle", "unknown"],
)
def test_affectnets_annotations_are_read_without_pickle(tmp_path, value, message):
    write_shipped(tmp_path, "affectnet")
    np.save(tmp_path / "affectnet/val_set/annotations/0_exp.npy", value, allow_pickle=True)
    with pytest.raises(DataError, match=message):
        read(tmp_path / "affectnet", "affectnet-8")


@pytest.mark.parametrize("value", [np.array(3), np.array(3.0), np.array("3"), np.array([3])])
def test_affectnets_annotations_may_be_numbers_or_texts(tmp_path, value):
    write_shipped(tmp_path, "affectnet")
    np.save(tmp_path / "affectnet/val_set/annotations/0_exp.npy", value)
    assert found(read(tmp_path / "affectnet", "affectnet-8"))["val_set/images/0.jpg"] == "surprise"


FERPLUS = {
    "fer0032220.png": (0, 0, 0, 0, 1, 1, 0, 0, 8, 0),
    "fer0032222.png": (1, 9, 0, 0, 0, 0, 0, 0, 0, 0),
    "fer0032223.png": (5, 0, 0, 5, 0, 0, 0, 0, 0, 0),
    "fer0032224.png": (4, 0, 0, 1, 1, 1, 1, 1, 1, 0),
    "fer0032225.png": (2, 0, 6, 0, 1, 0, 0, 0, 0, 1),
}
"""Votes as in label.csv -> the class by hand: none (unknown), happiness, none (a tie), neutral (others have one vote
each), surprise (6 of 8)."""


@pytest.mark.parametrize("box", [True, False])
def test_the_majority_of_label_csv(tmp_path, box):
    lines = io.StringIO()
    for name, votes in FERPLUS.items():
        csv.writer(lines).writerow([name, *(["(0, 0, 48, 48)"] if box else []), *votes])
        (tmp_path / name).touch()
    (tmp_path / "label.csv").write_text(lines.getvalue())
    listing = read(tmp_path, "ferplus-csv")
    assert found(listing) == {
        "fer0032222.png": "happiness",
        "fer0032224.png": "neutral",
        "fer0032225.png": "surprise",
    }
    assert "2 of 5 images are ignored: no class has a majority of their votes" in listing.notes


def test_a_line_without_ten_votes_is_named(tmp_path):
    write_shipped(tmp_path, "ferplus-csv")
    file = tmp_path / "ferplus-csv/data/FER2013Test/label.csv"
    file.write_text(file.read_text() + "fer9.png,1,2,3\n")
    with pytest.raises(DataError, match=r"label\.csv, line 20: expected a name, a box and 10 votes, found 'fer9"):
        read(tmp_path / "ferplus-csv", "ferplus-csv")


@pytest.mark.parametrize("name", ["raf-db", "ferplus-csv", "dfew", "ferv39k", "mafw", "affectnet-8"])
def test_a_list_without_most_of_its_files_is_refused(tmp_path, name):
    """A wrong root or an archive that was never unpacked must not pass for a dataset of unreadable images."""
    folder = name.removesuffix("-8")
    truths = write_shipped(tmp_path, folder)
    fold = next(iter(truths))
    for number, path in enumerate(truths[fold]):
        if number % 3:
            place = tmp_path / folder / path
            place.rename(tmp_path / f"gone-{number}")
    annotated = {"affectnet-8"}
    if name in annotated:
        for file in (tmp_path / folder / "val_set/annotations").glob("*_exp.npy"):
            file.unlink()
    with pytest.raises(DataError, match=r"are not (there|below)|found no images in|expected a file <image>_exp\.npy"):
        read(tmp_path / folder, name, fold=fold)


def test_clips_that_somebody_has_sampled_already_are_refused(tmp_path):
    write_dataset(tmp_path, "dfew")
    for clip in (tmp_path / "dfew").iterdir():
        if clip.is_dir():
            for frame in sorted(clip.iterdir())[16:]:
                frame.unlink()
    for file in (tmp_path / "dfew").glob("*.txt"):
        file.write_text(file.read_text().replace(" 3 ", " 18 "))
    with pytest.raises(
        DataError, match=r"every clip has at most 16 frames, and the list says more(.|\n)*sampled frames"
    ):
        read(tmp_path / "dfew", "dfew", fold=1)


def test_an_error_names_the_forms_that_are_known(tmp_path):
    with pytest.raises(
        DataError, match=r"RAF-DB.* is also read as shipped, if the root has one of: EmoLabel/list_pat.*DATASET/"
    ):
        read(tmp_path, "raf-db")
    with pytest.raises(DataError, match=r"root has one of: EmoLabel_DataSplit/test\(single-labeled\)/set_2\.csv"):
        read(tmp_path, "dfew", fold=2)


def test_a_list_that_leads_outside_is_refused(tmp_path):
    write_shipped(tmp_path, "ferv39k")
    file = tmp_path / "ferv39k/4_setups/All_scenes/test_All.csv"
    file.write_text("../../secret Happy\n")
    with pytest.raises(DataError, match="leads outside the dataset's folder"):
        read(tmp_path / "ferv39k", "ferv39k")


@pytest.mark.parametrize("path", ["{name.__class__}", "{0}", "{name!r}", "{name:>9}", "{name[0]}"])
def test_a_template_is_columns_and_nothing_else(tmp_path, path):
    (tmp_path / "x.yaml").write_text(
        f"name: x\ntitle: X\nlayout: image-folders\nforms:\n- {{kind: list, files: [a], path: '{path}', label: b}}\n"
    )
    with pytest.raises(SettingsError, match=r"expected columns such as|path"):
        load_definition(tmp_path / "x.yaml")


def test_a_table_of_ones_own(tmp_path):
    """docs/datasets.md: a list with a header, of two splits."""
    (tmp_path / "mine.yaml").write_text(
        "name: mine\ntitle: Mine\nlayout: image-folders\nclasses: [happiness, fear]\nforms:\n"
        "- {kind: list, files: [faces.tsv], separator: tab, only: {split: test}, path: 'crops/{id:04}.png',\n"
        "   label: mood}\n"
    )
    lines = ["id\tsplit\tmood", "1\ttest\thappy", "2\ttrain\tfear", "3\ttest\tFear", "4\ttest\tsad"]
    (tmp_path / "faces.tsv").write_text("\n".join(lines))
    (tmp_path / "crops").mkdir()
    for number in range(1, 5):
        (tmp_path / f"crops/{number:04}.png").touch()
    listing = read_rows(tmp_path, DatasetSettings(source=str(tmp_path / "mine.yaml")))
    assert found(listing) == {"crops/0001.png": "happiness", "crops/0003.png": "fear"}
    assert "1 listed items are ignored: their class is not among happiness, fear" in listing.notes


@pytest.mark.parametrize(
    ("size", "noted"), [((400, 300), True), ((300, 400), True), ((224, 224), False), ((60, 50), False)]
)
def test_scenes_in_place_of_face_crops_are_noted(tmp_path, size, noted):
    """CAER-S is shipped as scenes, and the paper trains on face crops."""
    for class_name in ("Anger", "Happy"):
        for number in range(3):
            file = tmp_path / f"train/{class_name}/{number:04}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", size).save(file)
    (tmp_path / "train/Anger/broken.png").write_bytes(b"%!PS")
    listing = read(tmp_path, "caer-s", labelled=False)
    assert len(listing.rows) == 7
    assert any("6 of 6 images that were looked at are far from square" in note for note in listing.notes) == noted


NAMED = {
    "jaffe": {"KA.AN1.39.tiff": "anger", "NE.SA2.41.tiff": "sadness", "NA.SU1.7.tiff": "surprise", "README.tiff": None},
    "kdef": {
        "KDEF/AF01/AF01AFS.JPG": "fear",
        "KDEF/BM12/BM12HAS.JPG": "happiness",
        "KDEF/AF01/AF01AFHL.JPG": None,
        "KDEF/AF31/AF31V.JPG": None,
    },
    "ferg-db": {
        "FERG_DB_256/aia/aia_joy/aia_joy_12.png": "happiness",
        "FERG_DB_256/ray/ray_fear/ray_fear_1.png": "fear",
        "FERG_DB_256/thumbnail.png": None,
    },
    "sfew": {
        "Val/Val_Aligned_Faces_new/Val_Aligned_Faces/Sad/a_1.png": "sadness",
        "Val/Val_Aligned_Faces_new/Val_Aligned_Faces/Angry/b_2.png": "anger",
        "Train/Train_Aligned_Faces/Sad/c.png": None,
    },
}
"""Files of sets whose names hold the class, as shipped -> the class, None for no item; NE is a woman in JAFFE."""


@pytest.mark.parametrize("name", NAMED)
def test_names_and_folders_of_other_sets(tmp_path, name):
    for path in NAMED[name]:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    listing = read(tmp_path, name)
    assert found(listing) == {path: label for path, label in NAMED[name].items() if label}
    ignored = [note for note in listing.notes if "with other names are ignored" in note]
    assert bool(ignored) == (name != "sfew")
    assert {row.label for row in read(tmp_path, name, labelled=False).rows} == {-1}
    with pytest.raises(DataError, match=r"expected images named as|is also read as shipped"):
        read(tmp_path / "absent", name)


@pytest.mark.parametrize("pattern", ["(", "a", "(a)"])
def test_a_pattern_needs_a_group_for_the_label(tmp_path, pattern):
    form = f"{{kind: names, below: ., example: e, pattern: '{pattern}'}}"
    (tmp_path / "x.yaml").write_text(f"name: x\ntitle: X\nlayout: image-folders\nforms:\n- {form}\n")
    with pytest.raises(SettingsError, match=r"forms\.0\.pattern: (is not a regular expression|expected a group)"):
        load_definition(tmp_path / "x.yaml")
