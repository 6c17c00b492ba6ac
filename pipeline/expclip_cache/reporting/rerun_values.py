"""The values of a result file by key, for the comparison with a rerun. Scores are floats, counts are integers."""

import csv
import io
import json
from collections.abc import Iterator, Mapping

from expclip_cache.base import DataError
from expclip_cache.cache import Json

_KEYS = (
    *("test_set", "part", "system", "backbone", "published_backbone", "teacher", "head", "seed"),
    *("prompts", "prompt_type", "class_name", "epoch", "bin"),
    *("against_backbone", "against_teacher", "against_head", "against_prompts", "against_prompt_type"),
)
"""The columns that say what a line of a csv file is about."""

_OF_SINGLE_ITEMS = (
    *(".only_this_right", ".only_other_right", ".mcnemar_p", ".holm_p", "_inside"),
    *(".recall", ".recall_low", ".recall_high"),
)
"""Ends of the keys of values that a single item can change by any amount: in a class of 15 it is 7 points of recall."""

_MOVING = ("results/heads/loss.csv", "results/statistics/reliability.csv")
"""Files of which only the lines have to agree: the course of the loss, and the bin of each answer."""

_ITEMS = "report/confusion/"
"""Folder of the files with a line for each item."""


def all_values(name: str, raw: bytes) -> dict[str, object]:
    """Every value of a file of results; nothing for a file with a line for each item.

    Args:
        name: path of the file, relative to the checkout.
        raw: its content.

    Returns:
        Key -> value. Keys join names and numbers by dots.

    Raises:
        DataError: the file is damaged.
    """
    if name.startswith(_ITEMS):
        return {}
    return dict(_lines(name, raw)) if name.endswith(".csv") else dict(_leaves(_tree(name, raw)))


def values_under_tolerance(name: str, raw: bytes) -> dict[str, object]:
    """Those values that have to agree when single items may be classified differently.

    These are all values of the files of scores, intervals, calibration and metrics, but for p values and whatever else
    a single item can change. Of the confusion matrices they are what was scored and the items of each class, of the
    loss curves the heads, seeds and epochs, of the reliability diagrams the bins. Nothing of the files with a line for
    each item and of the descriptions of the caches, which record the versions of libraries.

    Raises:
        DataError: the file is damaged.
    """
    if name.startswith("results/scores/"):
        return dict(_leaves(_what_was_scored(name, _tree(name, raw))))
    if name == "results/heads/details.json":
        return {}
    values = all_values(name, raw)
    if name in _MOVING:
        return dict.fromkeys(values, "")
    return {key: "" if key.endswith(_OF_SINGLE_ITEMS) else value for key, value in values.items()}


def first_changed_line(before: bytes, after: bytes) -> tuple[str, str | None, str | None]:
    """The number of the first line in which two texts differ, and both lines, cut to 80 characters."""
    lines = [raw.decode(errors="replace").splitlines() for raw in (before, after)]
    number = next((k for k, (a, b) in enumerate(zip(*lines, strict=False)) if a != b), min(map(len, lines)))
    recorded, rerun = (side[number][:80] if number < len(side) else None for side in lines)
    return f"line {number + 1}", recorded, rerun


def _tree(name: str, raw: bytes) -> Json:
    try:
        return json.loads(raw)
    except ValueError as error:
        raise DataError(f"{name}: expected JSON, found a damaged file ({error}).") from None


def _leaves(tree: object, prefix: str = "") -> Iterator[tuple[str, object]]:
    """The leaves of nested mappings and lists, each with its keys joined by dots."""
    if isinstance(tree, dict):
        items = list(tree.items())
    elif isinstance(tree, list):
        items = [(_name(value, number), value) for number, value in enumerate(tree)]
    else:
        yield prefix, tree
        return
    for key, value in items:
        yield from _leaves(value, f"{prefix}.{key}" if prefix else str(key))


def _name(value: object, number: int) -> str:
    """A head is named by what it is, any other item of a list by its number."""
    if isinstance(value, Mapping) and value.keys() >= {"teacher", "head", "seed"}:
        return "/".join(str(value[key]) for key in ("teacher", "head", "seed") if value[key] is not None)
    return str(number)


def _lines(name: str, raw: bytes) -> Iterator[tuple[str, object]]:
    """The cells of a csv file, each with its line's key cells and its column."""
    seen: set[str] = set()
    for line in csv.DictReader(io.StringIO(raw.decode(errors="replace"), newline="")):
        if None in line or None in line.values():
            raise DataError(f"{name}: expected as many cells in each line as in the first, found {line}.")
        what = "/".join(cell for column, cell in line.items() if column in _KEYS and cell)
        if what in seen:
            raise DataError(f"{name}: expected one line for each system, found two for {what}.")
        seen.add(what)
        for column, cell in line.items():
            if column not in _KEYS:
                yield f"{what}.{column}", _number(cell)


def _number(cell: str) -> float | str:
    """A score; anything else, counts included, stays as it is."""
    try:
        return float(cell) if "." in cell else cell
    except ValueError:
        return cell


def _what_was_scored(name: str, tree: Json) -> Json:
    try:
        if "rules" in tree:
            return {
                **{key: tree[key] for key in ("answers", "test_set", "classes")},
                "rows": {key: tree[key]["rows"] for key in ("images", "calibration")},
                "skipped": {key: [item["row"] for item in tree[key]["skipped"]] for key in ("images", "calibration")},
                "items": _items_of_each_class(tree["rules"]),
            }
        return {
            "backbone": tree["backbone"],
            "test_set": tree["test_set"],
            "classes": tree["classes"],
            "rows": tree["images"]["rows"],
            "skipped": [item["row"] for item in tree["images"]["skipped"]],
            "prompt_sets": {
                prompts: {
                    "clip": _items_of_each_class(found["clip"]),
                    "heads": [
                        {key: head[key] for key in ("teacher", "head", "seed")}
                        | {"items": _items_of_each_class(head["confusions"])}
                        for head in found["heads"]
                    ],
                }
                for prompts, found in tree["prompt_sets"].items()
            },
        }
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{name}: is not a file of scores ({error!r}).") from None


def _items_of_each_class(matrices: Mapping[str, list[list[int]]]) -> Json:
    return {kind: [sum(row) for row in matrix] for kind, matrix in matrices.items()}
