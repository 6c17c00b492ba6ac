"""The scores of one backbone on one test set as a JSON file."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from expclip_cache.cache import Json
from expclip_cache.scoring.checked_file import checksum_of, read_checked, write_checked
from expclip_cache.scoring.metrics import Confusion
from expclip_cache.scoring.results import HeadScores, PromptSetScores, TestSetScores


def write_score_file(path: Path, found: TestSetScores) -> None:
    """Write everything atomically, with a checksum: a line for each head, confusion matrices as nested lists."""
    write_checked(path, _to_text(_to_json(found)))


def score_checksum(found: TestSetScores) -> str:
    """What a file with these scores has as its checksum."""
    return checksum_of(_to_text(_to_json(found)))


def read_score_file(path: Path) -> TestSetScores:
    """Read what `write_score_file` wrote.

    Raises:
        DataError: the file is missing or damaged.
    """
    return read_checked(path, _to_text, _from_json)


def _to_json(found: TestSetScores) -> Json:
    return {
        "backbone": found.backbone,
        "test_set": found.test_set,
        "classes": found.classes,
        "images": found.images,
        "prompt_sets": {
            name: {
                "made_by": scores.made_by,
                "clip": _matrices_to_json(scores.clip),
                "heads": [{**vars(head), "confusions": _matrices_to_json(head.confusions)} for head in scores.heads],
            }
            for name, scores in found.prompt_sets.items()
        },
    }


def _from_json(tree: Json) -> TestSetScores:
    classes = tuple(tree["classes"])
    return TestSetScores(
        backbone=tree["backbone"],
        test_set=tree["test_set"],
        classes=classes,
        images=tree["images"],
        prompt_sets={name: _prompt_set(found, len(classes)) for name, found in tree["prompt_sets"].items()},
    )


def _prompt_set(tree: Json, c: int) -> PromptSetScores:
    clip = _matrices(tree["clip"], c)
    heads = [HeadScores(**{**head, "confusions": _matrices(head["confusions"], c)}) for head in tree["heads"]]
    if any(head.confusions.keys() != clip.keys() for head in heads):
        raise ValueError("a head and plain CLIP have other prompt types")
    return PromptSetScores(tree["made_by"], clip, tuple(heads))


def _matrices_to_json(matrices: Mapping[int, Confusion]) -> Json:
    return {str(kind): matrix.tolist() for kind, matrix in matrices.items()}


def _matrices(tree: Mapping[str, Json], c: int) -> dict[int, Confusion]:
    return {int(kind): matrix_from_json(rows, c) for kind, rows in tree.items()}


def matrix_from_json(rows: Json, c: int) -> Confusion:
    """A (c, c) int64 confusion matrix from nested lists.

    Raises:
        ValueError: they are none.
    """
    matrix = np.array(rows)
    if matrix.shape != (c, c) or matrix.dtype != np.int64 or matrix.min() < 0:
        raise ValueError(f"expected ({c}, {c}) counts")
    return matrix


def _to_text(tree: Json) -> str:
    """JSON with a line for each head, so that Git shows which head changed."""
    return json.dumps(tree).replace('{"teacher"', '\n{"teacher"').replace('"prompt_sets"', '\n"prompt_sets"')
