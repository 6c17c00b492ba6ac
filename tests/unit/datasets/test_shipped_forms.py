"""Every benchmark as its makers ship it, in miniature, and copies of it that go about."""

import csv
import io
import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from expclip_cache.base.errors import DataError, SettingsError
from expclip_cache.datasets.definition import builtin_definitions, load_definition
from expclip_cache.datasets.file_names import by_number
from expclip_cache.datasets.read import read_rows
from expclip_cache.datasets.settings import DatasetSettings
from native_trees import write_dataset, write_shipped

SHIPPED = {
    "raf-db": "raf-db",
    "affectnet": "affectnet-8",
    "affectnet-7": "affectnet-7",
    "ferplus-csv": "ferplus-csv",
    "dfew": "dfew",
    "ferv39k": "ferv39k",
    "mafw": "mafw",
    "mafw-videos": "mafw",
    "afew": "afew",
    "afew-videos": "afew",
    "caer": "caer",
}
"""Archive -> definition."""


def read(root, name, **settings):
    return read_rows(root, DatasetSettings(source=str(builtin_definitions()[name]), **settings))


def found(listing):
    return {row.path: listing.classes[row.label] for row in listing.rows}


def write_files(root: Path, files: Iterable[str] | dict[str, str | bytes]) -> None:
    """Files with the given contents, or empty ones."""
    for path in files:
        content = files[path] if isinstance(files, dict) else b""
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content.encode() if isinstance(content, str) else content)


@pytest.mark.parametrize("archive", SHIPPED)
def test_rows_and_labels_of_the_makers_archive(tmp_path, archive):
    name, folder = SHIPPED[archive], archive.removesuffix("-7")
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


OTHERS = ("affectnet-plus", "raf-db-compound", "expw", "ck-plus", "oulu-casia", "caer", "meld")
"""Sets beyond the paper's, each with a test below or an archive above."""

COUNTS = {
    "expw": "anger 3671 disgust 3995 fear 1088 happiness 30537 sadness 10559 surprise 7060 neutral 34883",
    "ck-plus": "anger 45 contempt 18 disgust 59 fear 25 happiness 69 sadness 28 surprise 83",
    "meld": "anger 345 disgust 68 fear 50 happiness 402 neutral 1256 sadness 208 surprise 281",
    "ferg-db": "anger 9169 disgust 8571 happiness 7330 neutral 6939 sadness 7627 surprise 8712 fear 7419",
}
TOTALS = {"raf-db-compound": 792, "oulu-casia": 80 * 6 * 3, "jaffe": 213, "kdef": 980, "sfew": 431}


def test_published_counts_of_other_sets():
    for name, text in COUNTS.items():
        definition, words = load_definition(builtin_definitions()[name]), text.split()
        assert isinstance(definition.counts, tuple)
        counts = dict(zip(definition.classes, definition.counts, strict=True))
        assert counts == dict(zip(words[::2], map(int, words[1::2]), strict=True))
    for name, total in TOTALS.items():
        assert (load_definition(builtin_definitions()[name]).total or (0,))[0] == total


AFFECTNET_LINES = {
    "7/a.jpg,10,20,100,90,1.5;2.5,0,0.1,0.2": ("neutral", (10, 20, 110, 110)),
    "7/b.JPG,0,0,50,50,1.5;2.5,1,0.1,0.2": ("happiness", (0, 0, 50, 50)),
    "12/c.png,-4,3,54,50,1.5;2.5,7,0.1,0.2": ("contempt", (0, 3, 50, 53)),
    "12/d.jpg,NULL,NULL,NULL,NULL,NULL,8,-2,-2": None,
    "12/e.jpg,NULL,NULL,NULL,NULL,NULL,9,-2,-2": None,
    "12/f.jpg,NULL,NULL,NULL,NULL,NULL,10,-2,-2": None,
}
"""Lines of validation.csv -> class and box: left, top, right, bottom. The last three have no class."""


@pytest.mark.parametrize("header", [True, False], ids=["header", "no header"])
@pytest.mark.parametrize("above", ["", "Manually_Annotated/", "Manually_Annotated_compressed/"])
@pytest.mark.parametrize("lists", ["", "Manually_Annotated_file_lists/"])
def test_affectnets_first_release(tmp_path, lists, above, header):
    columns = "subDirectory_filePath,face_x,face_y,face_width,face_height,facial_landmarks,expression,valence,arousal"
    lines = [columns] * header + list(AFFECTNET_LINES)
    images = f"{above}Manually_Annotated_Images"
    write_files(
        tmp_path,
        {
            f"{lists}validation.csv": "\r\n".join([*lines, ""]),
            f"{lists}training.csv": f"{columns}\r\n7/x.jpg,0,0,9,9,1;1,1,0,0\r\n",
            **{f"{images}/{line.split(',')[0]}": "" for line in AFFECTNET_LINES},
        },
    )
    truth = {f"{images}/{line.split(',')[0]}": value for line, value in AFFECTNET_LINES.items() if value}
    listing = read(tmp_path, "affectnet-8")
    assert found(listing) == {path: label for path, (label, _) in truth.items()}
    assert {row.path: row.boxes for row in listing.rows} == {path: (box,) for path, (_, box) in truth.items()}
    assert any(note.startswith("3 listed items are ignored") for note in listing.notes)
    without = read(tmp_path, "affectnet-7", crop="none")
    assert found(without) == {path: label for path, (label, _) in truth.items() if label != "contempt"}
    assert not any(row.boxes for row in without.rows)
    unlabelled = read(tmp_path, "affectnet-8", labelled=False)
    assert len(unlabelled.rows) == 6
    assert "3 of 6 items have an empty box and will fail to decode" in unlabelled.notes


def test_the_table_of_affectnet_in_miniature(tmp_path):
    truth = write_shipped(tmp_path, "affectnet-csv")[None]
    listing = read(tmp_path / "affectnet-csv", "affectnet-8")
    assert found(listing) == truth
    assert {row.boxes for row in listing.rows} == {((3, 2, 27, 27),)}


@pytest.mark.parametrize("above", ["human_annotated/", ""])
def test_affectnet_plus(tmp_path, above):
    truth = {
        "11": (0, "neutral"),
        "4096": ("3", "surprise"),
        "7": (7, "contempt"),
        "70": (6, "anger"),
        "8": (2, "sadness"),
    }
    files: dict[str, str | bytes] = {f"{above}train_set/images/1.jpg": "", f"{above}train_set/annotations/1.json": "{}"}
    for stem, label in [*((stem, label) for stem, (label, _) in truth.items()), ("90", 8), ("91", 9), ("92", 10)]:
        files[f"{above}validation_set/images/{stem}.jpg"] = ""
        content = {"human-label": label, "soft-label": [0.125] * 8, "subset": 1, "landmark": [[1.5, 2.5]] * 28}
        files[f"{above}validation_set/annotations/{stem}.json"] = json.dumps(content)
    write_files(tmp_path, files)
    listing = read(tmp_path, "affectnet-plus")
    assert found(listing) == {f"{above}validation_set/images/{stem}.jpg": name for stem, (_, name) in truth.items()}
    assert any(note.startswith("3 images are ignored") for note in listing.notes)


@pytest.mark.parametrize(
    "content",
    [b"[3]", b'{"human-label": [3]}', b'{"human_label": 3}', b'{"human-label": null}', b"{", b"[" * 9999, b"\xff"],
)
def test_annotations_of_another_form_are_refused(tmp_path, content):
    files: dict[str, str | bytes] = {"validation_set/images/1.jpg": "", "validation_set/annotations/1.json": content}
    write_files(tmp_path, files)
    with pytest.raises(DataError, match=r"1\.json: expected JSON with the class as 'human-label'"):
        read(tmp_path, "affectnet-plus")


@pytest.mark.parametrize(
    "content",
    [b"", b"PK\x03\x04garbage", b"\x93NUMPY\x01\x00\x10\x00{'descr': [((((\n", b"\x93NUMPY\x01\x00\x02\x00((", b"3"],
    ids=["empty", "zip", "header", "short", "text"],
)
def test_annotations_that_are_no_arrays_are_refused(tmp_path, content):
    write_shipped(tmp_path, "affectnet")
    (tmp_path / "affectnet/val_set/annotations/0_exp.npy").write_bytes(content)
    with pytest.raises(DataError, match=r"0_exp\.npy: expected a NumPy file with one number or text"):
        read(tmp_path / "affectnet", "affectnet-8")


def test_an_annotation_that_claims_to_be_huge_is_refused(tmp_path):
    write_shipped(tmp_path, "affectnet")
    file = tmp_path / "affectnet/val_set/annotations/0_exp.npy"
    header = "{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000000,), }".ljust(117) + "\n"
    file.write_bytes(b"\x93NUMPY\x01\x00\x76\x00" + header.encode())
    with pytest.raises(DataError, match=r"0_exp\.npy: expected a NumPy file"):
        read(tmp_path / "affectnet", "affectnet-8")


COMPOUND = (
    *("happily surprised", "happily disgusted", "sadly fearful", "sadly angry", "sadly surprised", "sadly disgusted"),
    *("fearfully angry", "fearfully surprised", "angrily surprised", "angrily disgusted", "disgustedly surprised"),
)
"""The compound classes of RAF-DB, numbered from 1."""


def write_compound(root: Path, doubled: bool = False) -> dict[str, str]:
    """Path below the root -> class; the names are those of the basic set."""
    images, truth = "compound/Image/aligned" + "/aligned" * doubled, {}
    lines = []
    for number, class_name in enumerate(COMPOUND, start=1):
        lines += [f"train_{number:05}.jpg {number}", f"test_{number:04}.jpg {number}"]
        truth[f"{images}/test_{number:04}_aligned.jpg"] = class_name
    write_files(root, {"compound/EmoLabel/list_patition_label.txt": "\n".join(lines), **dict.fromkeys(truth, "")})
    return truth


@pytest.mark.parametrize("doubled", [False, True], ids=["", "aligned/aligned"])
def test_both_sets_of_raf_db_side_by_side(tmp_path, doubled):
    basic = {f"basic/{path}": label for path, label in write_shipped(tmp_path, "raf-db")[None].items()}
    (tmp_path / "raf-db").rename(tmp_path / "basic")
    compound = write_compound(tmp_path, doubled)
    listing = read(tmp_path, "raf-db-compound")
    assert found(listing) == compound
    assert listing.classes == COMPOUND
    assert found(read(tmp_path, "raf-db")) == basic


@pytest.mark.parametrize("above", ["", "basic/"])
def test_raf_db_in_a_doubled_folder(tmp_path, above):
    truth = write_shipped(tmp_path, "raf-db")[None]
    images = tmp_path / "raf-db/Image/aligned"
    images.rename(tmp_path / "x")
    images.mkdir()
    (tmp_path / "x").rename(images / "aligned")
    (tmp_path / above).mkdir(exist_ok=True)
    for folder in ("EmoLabel", "Image"):
        (tmp_path / "raf-db" / folder).rename(tmp_path / above / folder)
    assert found(read(tmp_path, "raf-db")) == {
        f"{above}{path.replace('aligned/', 'aligned/aligned/')}": label for path, label in truth.items()
    }


def test_one_set_of_raf_db_is_never_taken_for_the_other(tmp_path):
    """The numbers 1 to 7 are classes of both, and so are the names of the images."""
    write_shipped(tmp_path, "raf-db")
    write_compound(tmp_path)
    for numbers in (7, 11):
        for number in range(1, numbers + 1):
            write_files(tmp_path / f"sorted-{numbers}", [f"{number}/test_0001.jpg"])
    with pytest.raises(DataError, match=r"no class is known for '8', '9', '10', '11'"):
        read(tmp_path / "compound", "raf-db")
    with pytest.raises(DataError, match=r"no class is known for '(8|9|10|11)'"):
        read(tmp_path / "sorted-11", "raf-db")
    for root in ("raf-db", "compound", "sorted-7", "sorted-11"):
        message = r"expected the table of RAF-DB, compound.*one of: compound/EmoLabel/list_patition"
        with pytest.raises(DataError, match=message):
            read(tmp_path / root, "raf-db-compound")


def test_classes_of_its_own_keep_the_order_of_the_definition(tmp_path):
    text = "name: x\ntitle: X\nlayout: image-folders\nclasses: [{}]\nnative: {{1: sleepy}}\n"
    (tmp_path / "x.yaml").write_text(text.format("happiness, sleepy, bored"))
    assert load_definition(tmp_path / "x.yaml").classes == ("happiness", "sleepy", "bored")
    write_files(tmp_path / "x", ["1/a.jpg", "Bored/b.jpg", "happy/c.jpg"])
    listing = read_rows(tmp_path / "x", DatasetSettings(source=str(tmp_path / "x.yaml")))
    assert found(listing) == {"1/a.jpg": "sleepy", "Bored/b.jpg": "bored", "happy/c.jpg": "happiness"}
    for classes in ("sleepy, bored, happiness", "sleepy, sleepy"):
        (tmp_path / "y.yaml").write_text(text.format(classes))
        with pytest.raises(SettingsError, match="classes must be distinct and in canonical order"):
            load_definition(tmp_path / "y.yaml")


@pytest.mark.parametrize(("list_below", "images"), [("label/", "image/origin"), ("", "image/origin"), ("", "origin")])
def test_expw_has_an_item_for_each_face(tmp_path, list_below, images):
    """Top comes before left; the word in a name is not the class."""
    lines = {
        "angry_actor_104.jpg 0 28 113 226 141 22.9362 3": ("angry_actor_104.jpg", (113, 28, 226, 141), "happiness"),
        "angry_actor_104.jpg 1 10 20 40 30 9.1 6": ("angry_actor_104.jpg", (20, 10, 40, 30), "neutral"),
        "sad girl 1.jpg 0 0 0 64 64 75.0 0": ("sad girl 1.jpg", (0, 0, 64, 64), "anger"),
        "x_2.png 3 1 2 3 4 1.5 5": ("x_2.png", (2, 1, 3, 4), "surprise"),
    }
    files: dict[str, str | bytes] = {f"{images}/{name}": "" for name, _, _ in lines.values()}
    files |= {f"{list_below}label.lst": "\n".join([*lines, ""]), "readme.txt": "1 2 3"}
    write_files(tmp_path, files)
    listing = read(tmp_path, "expw")
    faces = [(row.files, row.boxes, listing.classes[row.label]) for row in listing.rows]
    assert sorted(faces) == sorted(((f"{images}/{name}",), (box,), label) for name, box, label in lines.values())
    keys = [row.path for row in listing.rows]
    assert keys == ["angry_actor_104.jpg#0", "angry_actor_104.jpg#1", "sad girl 1.jpg#0", "x_2.png#3"]
    assert any(note.startswith("4 items instead of the published 91793") for note in listing.notes)


CK_PLUS = {
    ("S005", "001"): (11, "   3.0000000e+00\n", "disgust"),
    ("S010", "002"): (9, "7.0\n", "surprise"),
    ("S011", "001"): (3, "   1.0000000e+00\n", "anger"),
    ("S011", "006"): (2, "   6.0000000e+00\n", "sadness"),
    ("S999", "001"): (4, "2", "contempt"),
    ("S999", "003"): (4, "5", "happiness"),
    ("S022", "005"): (3, "4", "fear"),
    ("S014", "001"): (5, None, None),
    ("S014", "002"): (5, "   0.0000000e+00\n", None),
}
"""Sequence -> frames, what its annotation holds, its class."""


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        ("cohn-kanade-images", "Emotion"),
        ("extended-cohn-kanade-images/cohn-kanade-images", "Emotion_labels/Emotion"),
    ],
)
def test_the_peaks_of_ck_plus(tmp_path, images, labels):
    frames, files = {}, {"README.txt": "", f"{images}/.DS_Store": "", f"{images}/S005/.DS_Store": ""}
    for (person, sequence), (count, content, class_name) in CK_PLUS.items():
        stems = [f"{person}/{sequence}/{person}_{sequence}_{number:08}" for number in range(1, count + 1)]
        files |= {f"{images}/{stem}.png": "" for stem in stems}
        (tmp_path / labels / person / sequence).mkdir(parents=True)
        if content:
            files[f"{labels}/{stems[-1]}_emotion.txt"] = content
        if class_name:
            frames[class_name] = [f"{images}/{stem}.png" for stem in stems]
    write_files(tmp_path, files)
    listing = read(tmp_path, "ck-plus")
    assert found(listing) == {paths[-1]: class_name for class_name, paths in frames.items()}
    notes = " | ".join(listing.notes)
    assert "8 of 46 images are items: the last 1 of each folder with an annotation" in notes
    assert "1 folders of images have no annotation and are ignored: 'S014/001'" in notes
    assert "1 images are ignored: their class is not among" in notes
    text = builtin_definitions()["ck-plus"].read_text()
    (tmp_path / "three.yaml").write_text(text.replace("last: 1\n", "last: 3\n"))
    three = found(read_rows(tmp_path, DatasetSettings(source=str(tmp_path / "three.yaml"))))
    assert three == {path: class_name for class_name, paths in frames.items() for path in paths[-3:]}


def test_annotations_of_sequences_without_images_are_noted_or_refused(tmp_path):
    for number in range(1, 6):
        write_files(tmp_path, {f"Emotion/S00{number}/001/x_emotion.txt": "3"})
    write_files(tmp_path, [f"cohn-kanade-images/S00{number}/001/x.png" for number in (1, 2, 3)])
    assert any(note.startswith("2 annotations have no images: 'S004/001'") for note in read(tmp_path, "ck-plus").notes)
    (tmp_path / "cohn-kanade-images/S003/001/x.png").unlink()
    with pytest.raises(DataError, match="expected images for each of 5 annotations"):
        read(tmp_path, "ck-plus")
    write_files(tmp_path, {"cohn-kanade-images/S003/001/x.png": "", "Emotion/S001/001/y_emotion.txt": "3"})
    with pytest.raises(DataError, match=r"S001/001: expected one file with the class, found several"):
        read(tmp_path, "ck-plus")


@pytest.mark.parametrize("content", ["", "3 4", "3.5", "eight", "9"])
def test_an_annotation_without_one_known_class_is_refused(tmp_path, content):
    write_files(tmp_path, {"Emotion/S1/1/x_emotion.txt": content, "cohn-kanade-images/S1/1/x.png": ""})
    with pytest.raises(DataError, match=r"expected one number or word|no class is known for"):
        read(tmp_path, "ck-plus")


@pytest.mark.parametrize("above", ["", "B_OriginalImg/"])
def test_the_last_frames_of_oulu_casia(tmp_path, above):
    words = "Anger=anger Disgust=disgust Fear=fear Happiness=happiness Sadness=sadness Surprise=surprise"
    truth = {}
    for word, class_name in (pair.split("=") for pair in words.split()):
        for person in ("P001", "P080"):
            for place in ("VL/Strong", "VL/Weak", "NI/Strong"):
                folder = f"{above}OriginalImg/{place}/{person}/{word}"
                write_files(tmp_path, [f"{folder}/{number:03}.jpeg" for number in range(12)])
                if place == "VL/Strong":
                    truth |= {f"{folder}/{number:03}.jpeg": class_name for number in (9, 10, 11)}
    write_files(tmp_path, [f"{above}OriginalImg/VL/Strong/P001/Thumbs.db", f"{above}OriginalImg/VL/Strong/list.txt"])
    listing = read(tmp_path, "oulu-casia")
    assert found(listing) == truth
    assert "36 of 144 images are items: the last 3 of each folder" in listing.notes


@pytest.mark.parametrize("above", ["", "test", "CAER"])
def test_caer_above_and_below(tmp_path, above):
    truth = write_shipped(tmp_path, "caer", 1)[None]
    root = tmp_path / "caer"
    if above == "test":
        root = root / "test"
        truth = {path.removeprefix("test/"): label for path, label in truth.items()}
    elif above:
        root.rename(tmp_path / above)
        root, truth = tmp_path, {f"CAER/{path}": label for path, label in truth.items()}
    listing = read(root, "caer")
    assert found(listing) == truth
    assert {len(set(row.files)) for row in listing.rows} == {1}
    assert listing.short_clip == "edge"
    assert "7 of 7 clips are videos, whose frames are sampled when they are decoded" in listing.notes


def test_caers_images_are_not_taken_for_its_videos(tmp_path):
    write_files(tmp_path, ["test/Anger/0001.png", "test/Happy/0001.png", "train/Anger/0001.png"])
    with pytest.raises(DataError, match=r"expected <class>/<clip>/<frame> or videos"):
        read(tmp_path, "caer")


@pytest.mark.parametrize("folder", ["Val_AFEW", "val_afew", "Val", "."])
def test_the_videos_of_afew(tmp_path, folder):
    truth = write_shipped(tmp_path, "afew-videos", 1)[None]
    root = tmp_path / "afew-videos"
    write_files(root / "Val_AFEW", ["Angry/Thumbs.db", "readme.xml"])
    if folder == ".":
        root, folder = root / "Val_AFEW", ""
    else:
        (root / "Val_AFEW").rename(root / folder)
        folder += "/"
    listing = read(root, "afew")
    assert found(listing) == {path.replace("Val_AFEW/", folder): label for path, label in truth.items()}
    assert all((root / file).is_file() for row in listing.rows for file in row.files)
    assert any(note.startswith("7 of 7 clips are videos") for note in listing.notes)


def test_afews_list_is_read_where_the_references_folders_are(tmp_path):
    write_files(tmp_path, ["Anger/1/1.jpg", "Sadness/2/1.jpg", "Sadness/3/1.jpg", "Happiness/4/1.jpg"])
    (tmp_path / "AFEW_validation.txt").write_text(
        "/d/AFEW/Anger/1 1 3\n/d/AFEW/Sadness/2 1 1\n/d/AFEW/Happiness/4 1 0\n"
    )
    assert found(read(tmp_path, "afew")) == {"Anger/1": "anger", "Sadness/2": "sadness", "Happiness/4": "happiness"}


def test_extracted_frames_take_the_place_of_videos(tmp_path):
    write_files(tmp_path, ["Val_AFEW/Sad/1.avi", "Val_AFEW/Sad/1/001.jpg", "Val_AFEW/Happy/2.avi"])
    listing = read(tmp_path, "afew")
    assert {row.path: set(row.files) for row in listing.rows} == {
        "Val_AFEW/Happy/2.avi": {"Val_AFEW/Happy/2.avi"},
        "Val_AFEW/Sad/1": {"Val_AFEW/Sad/1/001.jpg"},
    }
    assert any(
        note.startswith("1 videos are beside folders with their frames and are ignored") for note in listing.notes
    )
    write_files(tmp_path / "mafw", {"Train & Test Set/single/no_caption/set_1/test.txt": "00007.mp4 fear\r\n"})
    write_files(tmp_path / "mafw", ["data/clips/00007.mp4", "data/clips/00008.mp4"])
    assert found(read(tmp_path / "mafw", "mafw", fold=1)) == {"data/clips/00007.mp4": "fear"}
    write_files(tmp_path / "mafw", ["data/frames/00007/0001.png"])
    assert found(read(tmp_path / "mafw", "mafw", fold=1)) == {"data/frames/00007": "fear"}


@pytest.mark.parametrize(
    ("table", "videos"),
    [
        ("", "output_repeated_splits_test/"),
        ("test/", "test/output_repeated_splits_test/"),
        ("output_repeated_splits_test/", "output_repeated_splits_test/"),
        ("", ""),
    ],
)
@pytest.mark.parametrize("encoding", ["cp1252", "utf-8", "utf-8-sig"])
def test_meld(tmp_path, encoding, table, videos):
    """Quoted commas and apostrophes that are not ASCII; videos of the last recording are joined to the test's."""
    header = "Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID,Season,Episode,StartTime,EndTime"
    times = '3,19,"00:14:38,127","00:14:40,378"'
    lines = [
        f"1,Why do all you\u2019re mugs have numbers?,Mark,surprise,positive,0,0,{times}",
        f'2,"Oh. That\u2019s so ""she"" can keep it. \u2018Where\u2019s 27?!\u2019",Rachel,anger,negative,0,1,{times}',
        f"3,Push!,Joey,joy,positive,12,0,{times}",
        f"19,Okay.,Fireman #1,neutral,neutral,12,10,{times}",
    ]
    names = {"dia0_utt0": "surprise", "dia0_utt1": "anger", "dia12_utt0": "happiness", "dia12_utt10": "neutral"}
    others = ["._dia0_utt0.mp4", "final_videos_testdia0_utt1.mp4", "dia99_utt0.mp4"]
    write_files(tmp_path, {f"{table}test_sent_emo.csv": "\r\n".join([header, *lines, ""]).encode(encoding)})
    write_files(tmp_path, {"train_sent_emo.csv": "x", "train_splits/dia0_utt0.mp4": "", "README.md": ""})
    write_files(tmp_path, [f"{videos}{name}" for name in [*(f"{stem}.mp4" for stem in names), *others]])
    listing = read(tmp_path, "meld")
    assert found(listing) == {f"{videos}{stem}.mp4": label for stem, label in names.items()}
    assert any(note.startswith("4 of 4 clips are videos") for note in listing.notes)
    (tmp_path / videos / "dia12_utt0.mp4").unlink()
    fewer = read(tmp_path, "meld")
    assert len(fewer.rows) == 4
    assert any(note.startswith("1 of 4 clips have no frames and will fail to decode") for note in fewer.notes)
