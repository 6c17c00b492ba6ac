"""FER+ as published: from FER2013's pixels and the vote table to images and rows."""

import csv

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from expclip_cache.base.errors import DataError
from expclip_cache.datasets.definition import builtin_definitions
from expclip_cache.datasets.ferplus_csv import majority
from expclip_cache.datasets.ferplus_images import write_images
from expclip_cache.datasets.read import read_rows
from expclip_cache.datasets.settings import DatasetSettings

COLUMNS = ["neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt", "unknown", "NF"]
FERPLUS = DatasetSettings(source=str(builtin_definitions()["ferplus-csv"]))
VOTES = [
    ("Training", "fer0000000.png", {"anger": 10}),
    ("PublicTest", "fer0000001.png", {"anger": 10}),
    ("PrivateTest", "fer0000002.png", {"neutral": 4, "sadness": 3, "fear": 3}),
    ("PrivateTest", "fer0000003.png", {"fear": 6, "surprise": 4}),
    ("PrivateTest", "", {"NF": 10}),
    ("PrivateTest", "fer0000004.png", {"contempt": 3, "anger": 1, "sadness": 1, "neutral": 1, "happiness": 2}),
    ("PrivateTest", "fer0000005.png", {"unknown": 8, "happiness": 2}),
    ("PrivateTest", "fer0000006.png", {"NF": 9, "anger": 1}),
    ("PrivateTest", "fer0000007.png", {"happiness": 5, "neutral": 5}),
    ("PrivateTest", "fer0000008.png", {"happiness": 9, "NF": 1}),
]
CLASS_OF = {"fer0000003.png": "fear", "fer0000004.png": "contempt", "fer0000008.png": "happiness"}


def write_csv(path, rows):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return path


def write_votes(folder, entries=VOTES):
    rows = [[usage, name, *(counts.get(column, 0) for column in COLUMNS)] for usage, name, counts in entries]
    return write_csv(folder / "fer2013new.csv", [["Usage", "Image name", *COLUMNS], *rows])


def write_pixels(folder, usages):
    rows = [
        [number % 7, " ".join(str((number + k) % 256) for k in range(48 * 48)), u] for number, u in enumerate(usages)
    ]
    return write_csv(folder / "fer2013.csv", [["emotion", "pixels", "Usage"], *rows])


def test_two_tables_become_images_and_rows(tmp_path):
    written = write_images(write_pixels(tmp_path, [usage for usage, *_ in VOTES]), write_votes(tmp_path), tmp_path)
    assert written == 9
    image = np.array(Image.open(tmp_path / "FER2013Test" / "fer0000003.png"))
    np.testing.assert_array_equal(image, (3 + np.arange(48 * 48)).astype(np.uint8).reshape(48, 48))
    assert (tmp_path / "FER2013Valid" / "fer0000001.png").exists()
    listing = read_rows(tmp_path, FERPLUS)
    assert {row.path: listing.classes[row.label] for row in listing.rows} == {
        f"FER2013Test/{name}": label for name, label in CLASS_OF.items()
    }
    assert listing.classes[-1] == "contempt"
    assert "4 of 7 images are ignored: no class has a majority of their votes" in listing.notes
    assert "1 entries are ignored: the table names no image for them" in listing.notes


def test_missing_images_keep_their_rows(tmp_path):
    write_votes(tmp_path)
    (tmp_path / "FER2013Test").mkdir()
    for name in ("fer0000003.png", "fer0000004.png"):
        (tmp_path / "FER2013Test" / name).touch()
    listing = read_rows(tmp_path, FERPLUS)
    assert len(listing.rows) == 3
    assert any(note.startswith("1 images are missing and will fail to decode") for note in listing.notes)


def test_an_error_says_how_to_write_the_images_if_none_exist(tmp_path):
    write_votes(tmp_path)
    with pytest.raises(
        DataError, match=r"FER2013Test: expected 3 images.*of which 3 are not there.*ferplus_images.write_images"
    ):
        read_rows(tmp_path, FERPLUS)


@given(st.dictionaries(st.sampled_from(COLUMNS), st.integers(0, 10)))
def test_a_majority_has_at_least_two_votes_and_more_than_all_rivals_together(counts):
    winner = majority(counts)
    rivals = {column: sum(n for c, n in counts.items() if c != column and n > 1) for column in counts}
    assert ([winner] if winner else []) == [c for c in counts if counts[c] > 1 and counts[c] > rivals[c]]


def test_invalid_vote_tables(tmp_path):
    with pytest.raises(DataError, match=r"fer2013new.csv: cannot read the vote table of FER\+ \(No such file"):
        read_rows(tmp_path, FERPLUS)
    file = write_csv(tmp_path / "fer2013new.csv", [["a", "b"], [1, 2]])
    with pytest.raises(DataError, match=r"expected rows of Usage PrivateTest.*found 0 such rows and the columns a, b"):
        read_rows(tmp_path, FERPLUS)
    write_votes(tmp_path)
    file.write_text(file.read_text().replace("6", "six"))
    with pytest.raises(DataError, match="expected the columns Usage, Image name and numbers of votes"):
        read_rows(tmp_path, FERPLUS)


def test_tables_that_do_not_match(tmp_path):
    usages = [usage for usage, *_ in VOTES]
    with pytest.raises(DataError, match=r"line 2: Usage is 'PrivateTest' here and 'Training'"):
        write_images(write_pixels(tmp_path, usages[::-1]), write_votes(tmp_path), tmp_path)
    with pytest.raises(DataError, match=r"expected fer2013.csv and fer2013new.csv with the same rows"):
        write_images(write_pixels(tmp_path, usages[:-1]), write_votes(tmp_path), tmp_path)
    with pytest.raises(DataError, match=r"none.csv: cannot be read"):
        write_images(tmp_path / "none.csv", write_votes(tmp_path), tmp_path)
    write_csv(tmp_path / "fer2013.csv", [["emotion", "pixels", "Usage"], [0, "1 2 3", "Training"]])
    with pytest.raises(DataError, match=r"expected fer2013.csv and fer2013new.csv with the same rows"):
        write_images(tmp_path / "fer2013.csv", write_votes(tmp_path, VOTES[:1]), tmp_path)
