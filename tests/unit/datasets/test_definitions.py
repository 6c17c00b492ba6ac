"""The definitions, compared with the datasets' own documentation, transcribed here independently."""

import json
from pathlib import Path

import numpy as np
import pytest
from test_shipped_forms import NAMED, OTHERS

from expclip_cache.base.classes import CANONICAL
from expclip_cache.base.errors import SettingsError
from expclip_cache.datasets.definition import builtin_definitions, load_definition
from expclip_cache.datasets.read import read_rows
from expclip_cache.datasets.settings import DatasetSettings

GOLDEN = json.loads((Path(__file__).parents[2] / "data" / "golden_confusions.json").read_text())["matrices"]["B/32"]
FILES = builtin_definitions()

NATIVE_FOLDERS = [
    ("caer-s", "Anger=anger Disgust=disgust Fear=fear Happy=happiness Neutral=neutral Sad=sadness Surprise=surprise"),
    ("raf-db", "1=surprise 2=fear 3=disgust 4=happiness 5=sadness 6=anger 7=neutral"),
    ("affectnet-7", "0=neutral 1=happiness 2=sadness 3=surprise 4=fear 5=disgust 6=anger"),
    ("affectnet-8", "0=neutral 1=happiness 2=sadness 3=surprise 4=fear 5=disgust 6=anger 7=contempt"),
    (
        "ferplus",
        "Neutral=neutral Happiness=happiness Surprise=surprise Sadness=sadness Anger=anger Disgust=disgust "
        "Fear=fear Contempt=contempt",
    ),
    ("fer2013", "0=anger 1=disgust 2=fear 3=happiness 4=sadness 5=surprise 6=neutral"),
    ("fer2013", "angry=anger disgust=disgust fear=fear happy=happiness neutral=neutral sad=sadness surprise=surprise"),
]
LISTED_CLIPS = {
    "dfew": ("DFEW_set_1_test.txt", "/d/DFEW_Frame_Face/{}", CANONICAL[:7]),
    "mafw": ("MAFW_set_1_test.txt", "/d/MAFW/data/faces/{}", CANONICAL),
    "ferv39k": ("FERV39K_test.txt", "/d/FERV39K/2_ClipsforFaceCrop/Daily/Happy/{}", CANONICAL[:7]),
    "afew": ("AFEW_validation.txt", "/d/AFEW_Face/validation/Sadness/{}", CANONICAL[:7]),
}


def test_every_definition_is_covered_here():
    assert set(FILES) == {*(name for name, _ in NATIVE_FOLDERS), *LISTED_CLIPS, "ferplus-csv", *NAMED, *OTHERS}
    assert all(load_definition(file).name == name for name, file in FILES.items())


@pytest.mark.parametrize(("name", "folders"), NATIVE_FOLDERS)
def test_native_folders_get_the_right_labels(tmp_path, name, folders):
    expected = dict(pair.split("=") for pair in folders.split())
    for folder in expected:
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "1.jpg").touch()
    listing = read_rows(tmp_path, DatasetSettings(source=str(FILES[name])))
    assert listing.classes == tuple(n for n in CANONICAL if n in expected.values())
    assert {row.path.split("/")[0]: listing.classes[row.label] for row in listing.rows} == expected


@pytest.mark.parametrize("name", LISTED_CLIPS)
def test_the_reference_lists_number_classes_in_canonical_order(tmp_path, name):
    file, folder, classes = LISTED_CLIPS[name]
    definition = load_definition(FILES[name])
    assert definition.clip_list is not None
    parts = definition.clip_list.folder_parts
    lines = []
    for number, _ in enumerate(classes):
        path = folder.format(f"{number:05}")
        kept = tmp_path / "/".join(path.split("/")[-parts:])
        kept.mkdir(parents=True)
        (kept / "1.jpg").touch()
        lines.append(f"{path} 1 {number}\n")
    (tmp_path / file).write_text("".join(lines))
    fold = 1 if definition.folds else None
    listing = read_rows(tmp_path, DatasetSettings(source=str(FILES[name]), fold=fold))
    assert listing.classes == classes
    assert [(row.path[-5:], row.label) for row in listing.rows] == [(f"{n:05}", n) for n in range(len(classes))]


@pytest.mark.parametrize("name", GOLDEN)
def test_published_counts_are_the_row_sums_of_the_published_matrices(name):
    definition = load_definition(FILES[name])
    c = len(definition.classes)
    sums = [tuple(np.reshape(fold, (c, c)).sum(axis=1).tolist()) for fold in GOLDEN[name]["1"]]
    if definition.folds:
        assert definition.folds == (1, 2, 3, 4, 5)
        assert [definition.published_counts(fold) for fold in definition.folds] == sums
    else:
        assert [definition.published_counts(None)] == sums


def test_both_forms_of_ferplus_have_the_same_counts():
    assert load_definition(FILES["ferplus"]).counts == load_definition(FILES["ferplus-csv"]).counts


def test_affectnet_7_ignores_contempt(tmp_path):
    for folder in ("0", "7"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "1.jpg").touch()
    listing = read_rows(tmp_path, DatasetSettings(source=str(FILES["affectnet-7"])))
    assert [row.path for row in listing.rows] == ["0/1.jpg"]
    assert any(note.startswith("1 items in '7' are ignored") for note in listing.notes)
    assert listing.notes[1].startswith(
        "1 items instead of the published 3499, so scores are only roughly comparable: happiness 0"
    )


def test_no_note_if_the_published_counts_match(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("{name: mine, title: M, layout: image-folders, classes: [happiness, fear], counts: [2, 1]}")
    for path in ("fear/1.png", "happy/1.png", "happy/2.png"):
        (tmp_path / "data" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / path).touch()
    assert read_rows(tmp_path / "data", DatasetSettings(source=str(file))).notes == ()


@pytest.mark.parametrize(("items", "noted"), [(1, True), (2, False), (3, False), (4, True)])
def test_a_total_outside_the_known_range_is_noted(tmp_path, items, noted):
    file = tmp_path / "mine.yaml"
    file.write_text("{name: mine, title: M, layout: image-folders, classes: [fear], total: [2, 3]}")
    (tmp_path / "data/fear").mkdir(parents=True)
    for item in range(items):
        (tmp_path / f"data/fear/{item}.png").touch()
    notes = read_rows(tmp_path / "data", DatasetSettings(source=str(file), labelled=False)).notes
    assert (f"{items} items instead of 2 to 3" in notes) == noted


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[", "not valid YAML"),
        ("name: x", r"title: required key is missing"),
        ("{name: x, title: X, layout: folders}", r"layout: Input should be"),
        (
            "{name: x, title: X, layout: image-folders, native: {0: fear}, klasses: []}",
            r"klasses: unknown key. Did you mean 'classes'\? Known keys: name, title",
        ),
        ("{name: x, title: X, layout: image-folders, classes: [fear, anger]}", r"canonical order: \['anger', 'fear'\]"),
        ("{name: x, title: X, layout: image-folders, classes: [fear], counts: [1, 2]}", r"each of the 1 classes"),
        (
            "{name: x, title: X, layout: image-folders, native: {1: suprise}}",
            r"map to class names, found suprise; known: hap",
        ),
        ("{name: x, title: X, layout: clip-list}", r"clip_list goes with layout clip-list"),
        (
            "{name: x, title: X, layout: image-folders, clip_list: {files: [a], folder_parts: 1}}",
            r"clip_list goes with",
        ),
        (
            "{name: x, title: X, layout: clip-list, clip_list: {files: [a], folder_part: 1}}",
            r"clip_list.folder_part: unknown key. Did you mean 'folder_parts'\? Known keys: files, columns",
        ),
    ],
)
def test_invalid_definitions(tmp_path, text, message):
    file = tmp_path / "x.yaml"
    file.write_text(text)
    with pytest.raises(SettingsError, match=message) as caught:
        load_definition(file)
    assert str(file) in str(caught.value)


def test_a_missing_definition_lists_those_that_exist(tmp_path):
    with pytest.raises(SettingsError, match=r"cannot be read \(No such file.*afew, affectnet-7.*raf-db"):
        load_definition(tmp_path / "x.yaml")
