"""What is impossible in the rows of a manifest."""

# pyright: reportAttributeAccessIssue=false
# pyarrow.compute makes its functions when it is imported.

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from expclip_cache.datasets.listing import UNLABELLED
from expclip_cache.datasets.row_columns import BOXES, BYTES, FILES, LABEL, PART_ROWS, PATH, numbers, rows_in, text_of
from expclip_cache.datasets.row_parts import is_ascending, path_order

if TYPE_CHECKING:
    import pyarrow as pa

NO_NAME, NUL, OUTSIDE, BEYOND_ASCII = b"^$", rb"\x00", rb"^/|(?:^|/)\.\.(?:/|$)", rb"[^\x00-\x7f]"


def impossible_rows(parts: Sequence["pa.RecordBatch"], classes: int) -> str | None:
    """The first impossible row, as text for an error; None if all rows are possible together.

    A path may be listed twice, as in some published clip lists, but not with two labels or two contents.

    Args:
        parts: as in `RowColumns`.
        classes: c, how many there are.
    """
    frames = None
    for number, part in enumerate(parts):
        first = number * PART_ROWS
        frames = frames or _frames_of(part)
        if problem := impossible_part(part, first, classes, frames):
            return problem
    return _contradiction(parts)


def impossible_part(part: "pa.RecordBatch", first: int, classes: int, frames: int) -> str | None:
    """The first impossible row of one part by itself.

    Args:
        first: number of its first row.
        frames: files per row of the manifest.
    """

    def row(place: int) -> str:
        return f"row {first + place} ({next(rows_in(part.slice(place, 1)))[0]!r})"

    if empty := _first_missing(part):
        return f"row {first + empty[0]} has no {empty[1]}"
    label = numbers(part.column(LABEL))
    if (wrong := _first((label < UNLABELLED) | (label >= classes))) is not None:
        return f"{row(wrong)} has the label {label[wrong]}, but there are {classes} classes"
    size = numbers(part.column(BYTES))
    if (wrong := _first(size < 0)) is not None:
        return f"{row(wrong)} has {size[wrong]} bytes"
    found = _file_counts(part)
    if (wrong := _first((found != frames) | (found == 0))) is not None:
        return f"{row(wrong)} has {found[wrong]} frames, but other rows have {frames}"
    if (wrong := _wrong_boxes(part, found)) is not None:
        _, _, files, boxes = next(rows_in(part.slice(wrong, 1)))
        return f"{row(wrong)} has {len(files)} files and the boxes {boxes!r}"
    return _invalid_path(part, first)


def _first(wrong: np.ndarray) -> int | None:
    return int(wrong.argmax()) if wrong.any() else None


def _first_missing(part: "pa.RecordBatch") -> tuple[int, str] | None:
    """The first row in which a value is missing that every row has, and the name of its column."""
    for name in (PATH, LABEL, BYTES, FILES, BOXES):
        if name not in part.schema.names:
            continue
        column = part.column(name)
        if name in (PATH, LABEL, BYTES) and column.null_count:
            return int(numbers(column.is_null()).argmax()), name
        if name in (FILES, BOXES) and (column.flatten().null_count or (name == BOXES and _edges(column).null_count)):
            return next(place for place, value in enumerate(column.to_pylist()) if "None" in repr(value or ())), name
    return None


def _edges(boxes: "pa.ListArray") -> "pa.Array":
    """(4 k,) the edges of all boxes."""
    return boxes.flatten().flatten()


def _frames_of(part: "pa.RecordBatch") -> int:
    return int(_file_counts(part.slice(0, 1))[0])


def _file_counts(part: "pa.RecordBatch") -> np.ndarray:
    """(n,) files of each row."""
    return _lengths(part.column(FILES), 1) if FILES in part.schema.names else np.ones(part.num_rows, dtype=np.int64)


def _lengths(lists: "pa.ListArray", of_null: int) -> np.ndarray:
    """(n,) lengths of lists."""
    import pyarrow.compute as pc

    return numbers(pc.fill_null(pc.list_value_length(lists), of_null))


def _wrong_boxes(part: "pa.RecordBatch", files: np.ndarray) -> int | None:
    """The first row whose boxes are not one for each file, or are impossible."""
    if BOXES not in part.schema.names:
        return None
    column = part.column(BOXES)
    counts = _lengths(column, 0)
    wrong = numbers(column.is_valid()) & (counts != files)
    edges = numbers(_edges(column)).reshape(-1, 4)
    left, top, right, bottom = edges.T
    possible = ~edges.any(axis=1) | ((edges >= 0).all(axis=1) & (left < right) & (top < bottom))
    wrong[np.repeat(np.arange(len(counts)), counts)[~possible]] = True
    return _first(wrong)


def _invalid_path(part: "pa.RecordBatch", first: int) -> str | None:
    """The first path or file that cannot be below the dataset's root."""
    encoding = sys.getfilesystemencoding()
    elsewhere = f"is another name elsewhere, because Python takes file names for {encoding} here: set PYTHONUTF8=1"
    reasons = {NO_NAME: "is not a name", NUL: "contains a NUL character"}
    reasons |= {BEYOND_ASCII: elsewhere} if encoding != "utf-8" else {}
    reasons[OUTSIDE] = "points outside the dataset's folder"
    columns = [part.column(PATH)]
    if FILES in part.schema.names:
        columns.append(part.column(FILES).flatten())
    for pattern, reason in reasons.items():
        for names in columns:
            if (wrong := _first(_matches(names, pattern))) is not None:
                name = text_of(names[wrong].as_py())
                return f"{_where(part, first, name)}: the path {name!r} {reason}"
    return None


def _where(part: "pa.RecordBatch", first: int, name: str) -> str:
    place = next(place for place, (path, _, files, _) in enumerate(rows_in(part)) if name in (path, *files))
    return f"row {first + place}"


def _matches(names: "pa.Array", pattern: bytes) -> np.ndarray:
    """(n,) whether each name has a part that matches."""
    import pyarrow as pa
    import pyarrow.compute as pc

    return numbers(pc.match_substring_regex(names.cast(pa.binary()), pattern.decode()))


def _contradiction(parts: Sequence["pa.RecordBatch"]) -> str | None:
    """Two rows with one path that are not the same."""
    import pyarrow as pa
    import pyarrow.compute as pc

    order = None
    if not is_ascending(parts):
        table = pa.Table.from_batches(parts)
        order = path_order(table)
        parts = table.take(order).to_batches()
    last, start = parts[0].slice(0, 0), 0
    for part in parts:
        table = pa.Table.from_batches([last, part])
        path = table.column(PATH)
        again = 1 + np.flatnonzero(numbers(pc.equal(path.slice(1), path.slice(0, len(path) - 1))))
        if not table.take(again).equals(table.take(again - 1)):
            second = next(row for row in again.tolist() if not table.slice(row, 1).equals(table.slice(row - 1, 1)))
            places = [start - len(last) + row for row in (second - 1, second)]
            both = sorted(places if order is None else order.take(places).to_pylist())
            name = next(rows_in(table.slice(second, 1).to_batches()[0]))[0]
            return f"rows {both[0]} and {both[1]} are both {name!r}, but with different labels or contents"
        last, start = part.slice(part.num_rows - 1), start + part.num_rows
    return None
