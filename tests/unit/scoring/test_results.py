"""The rows of a study and scores.csv, from confusion matrices."""

import csv
import io

import numpy as np
import pytest

from expclip_cache.base.errors import DataError
from expclip_cache.scoring.metrics import scores
from expclip_cache.scoring.results import (
    Classifier,
    HeadScores,
    PromptSetScores,
    ScoreRow,
    TestSetScores,
    scores_csv,
)


def matrix(*rows):
    return np.array(rows, dtype=np.int64)


CLIP = {2: matrix([3, 1], [0, 4]), 5: matrix([4, 0], [1, 3])}
SGD = {2: matrix([4, 0], [0, 4]), 5: matrix([3, 1], [1, 3])}
RIDGE = {2: matrix([1, 3], [0, 4]), 5: matrix([2, 2], [2, 2])}
FACES = TestSetScores(
    backbone="b32",
    test_set="faces",
    classes=("happiness", "fear"),
    images={"skipped": [{"row": 3}]},
    prompt_sets={
        "reference": PromptSetScores(
            {}, CLIP, (HeadScores("t5", "sgd", 7, "", SGD, None), HeadScores("t5", "ridge", None, "", RIDGE, None))
        ),
        "mine": PromptSetScores({}, {0: matrix([8, 0], [0, 0])}, ()),
    },
)


def test_every_matrix_is_named_in_order():
    found = list(FACES.confusions())
    assert [classifier for classifier, _ in found] == [
        Classifier("reference", 2),
        Classifier("reference", 2, "t5", "sgd", 7),
        Classifier("reference", 2, "t5", "ridge", None),
        Classifier("reference", 5),
        Classifier("reference", 5, "t5", "sgd", 7),
        Classifier("reference", 5, "t5", "ridge", None),
        Classifier("mine", 0),
    ]
    assert [confusion is known for (_, confusion), known in zip(found, [CLIP[2], SGD[2], RIDGE[2]], strict=False)] == [
        True,
        True,
        True,
    ]


def test_a_row_for_each_matrix():
    rows = FACES.rows()
    assert rows[1] == ScoreRow("faces", "b32", "t5", "sgd", 7, "reference", 2, 8, 1, 100.0, 100.0)
    for row, (classifier, confusion) in zip(rows, FACES.confusions(), strict=True):
        assert (row.teacher, row.head, row.seed, row.prompts, row.prompt_type) == (
            classifier.teacher,
            classifier.head,
            classifier.seed,
            classifier.prompts,
            classifier.prompt_type,
        )
        found = scores(confusion)
        assert (row.items, row.uar, row.war) == (found.items, found.uar, found.war)
    # A class without items has no recall.
    assert (rows[-1].uar, rows[-1].war) == (100.0, 100.0)


def test_the_csv_by_hand():
    other = TestSetScores("b16", "clips", ("a",), {"skipped": []}, {"x": PromptSetScores({}, {1: matrix([3])}, ())})
    assert scores_csv([FACES, other]) == (
        "test_set,backbone,teacher,head,seed,prompts,prompt_type,items,skipped,uar,war\n"
        "faces,b32,,,,reference,2,8,1,87.500,87.500\n"
        "faces,b32,t5,sgd,7,reference,2,8,1,100.000,100.000\n"
        "faces,b32,t5,ridge,,reference,2,8,1,62.500,62.500\n"
        "faces,b32,,,,reference,5,8,1,87.500,87.500\n"
        "faces,b32,t5,sgd,7,reference,5,8,1,75.000,75.000\n"
        "faces,b32,t5,ridge,,reference,5,8,1,50.000,50.000\n"
        "faces,b32,,,,mine,0,8,1,100.000,100.000\n"
        "clips,b16,,,,x,1,3,0,100.000,100.000\n"
    )
    lines = list(csv.DictReader(io.StringIO(scores_csv([FACES]))))
    assert len(lines) == 7


def test_no_test_sets_give_the_header():
    assert scores_csv([]) == "test_set,backbone,teacher,head,seed,prompts,prompt_type,items,skipped,uar,war\n"


def test_a_test_set_without_items_is_an_error():
    empty = TestSetScores("b", "t", ("a",), {"skipped": []}, {"x": PromptSetScores({}, {1: matrix([0])}, ())})
    with pytest.raises(DataError, match="expected at least one test item"):
        scores_csv([empty])
