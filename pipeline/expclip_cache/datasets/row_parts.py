"""Make the parts of rows in columns, and put them in order."""

# pyright: reportAttributeAccessIssue=false
# pyarrow.compute makes its functions when it is imported.

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from expclip_cache.base import DataError
from expclip_cache.datasets.row_columns import BOXES, FILES, LABEL, PART_ROWS, PATH, R, Row, RowColumns

if TYPE_CHECKING:
    import pyarrow as pa


def columns_of(
    rows: Iterable[R],
    rows_of: Callable[["pa.RecordBatch"], Iterator[R]],
    more: Callable[[Sequence[R]], dict[str, "pa.Array"]] = lambda _: {},
) -> RowColumns[R]:
    """Rows in columns, in their order.

    Args:
        more: makes further columns of some rows.

    Raises:
        DataError: a row has a path that no file can have, or other values of the wrong kind.
    """
    import pyarrow as pa

    rows, parts = iter(rows), list["pa.RecordBatch"]()
    while part := list(islice(rows, PART_ROWS)):
        try:
            parts.append(pa.RecordBatch.from_pydict(_columns(part) | more(part)))
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError, ValueError) as error:
            raise DataError(f"a row has values that no row can have: {error}") from None
    return RowColumns(in_normal_form(parts), sum(part.num_rows for part in parts), rows_of)


def in_normal_form(parts: Sequence["pa.RecordBatch"]) -> list["pa.RecordBatch"]:
    """The same rows as they are stored: without unused columns, and paths as text if all of them are UTF-8."""
    import pyarrow as pa

    if not parts:
        return []
    unused = {name for name in (FILES, BOXES) if all(part.column(name).null_count == part.num_rows for part in parts)}
    parts = [part.select([name for name in part.schema.names if name not in unused]) for part in parts]
    try:
        return [_as_text(part) for part in parts]
    except pa.ArrowInvalid:
        return parts


def sorted_by_path(parts: Sequence["pa.RecordBatch"]) -> list["pa.RecordBatch"]:
    """The same rows sorted by the bytes of their paths; rows with the same path keep their order.

    Args:
        parts: of any numbers of rows; those that are returned are parts of `RowColumns`.
    """
    import pyarrow as pa

    parts = [part for part in parts if part.num_rows]
    if not parts:
        return []
    table = pa.Table.from_batches(parts)
    if not is_ascending(parts):
        order = path_order(table)
        found = (table.take(order.slice(start, PART_ROWS)) for start in range(0, len(table), PART_ROWS))
    elif all(part.num_rows == PART_ROWS for part in parts[:-1]) and parts[-1].num_rows <= PART_ROWS:
        return parts
    else:
        found = (table.slice(start, PART_ROWS) for start in range(0, len(table), PART_ROWS))
    return [part.combine_chunks().to_batches()[0] for part in found]


def path_order(table: "pa.Table") -> "pa.Array":
    """(n,) numbers of the rows in the order of their paths; stable."""
    import pyarrow as pa
    import pyarrow.compute as pc

    return pc.sort_indices(table.column(PATH).cast(pa.large_binary()))


def is_ascending(parts: Sequence["pa.RecordBatch"]) -> bool:
    """Whether rows are sorted by the bytes of their paths."""
    import pyarrow as pa
    import pyarrow.compute as pc

    last = parts[0].column(PATH).slice(0, 0) if parts else None
    for part in parts:
        path = pa.chunked_array([last, part.column(PATH)])
        if not pc.all(pc.less_equal(path.slice(0, len(path) - 1), path.slice(1))).as_py() and len(path) > 1:
            return False
        last = part.column(PATH).slice(part.num_rows - 1)
    return True


def with_labels(part: "pa.RecordBatch", labels: np.ndarray) -> "pa.RecordBatch":
    """The same rows with other labels, (n,) int32."""
    import pyarrow as pa

    return pa.RecordBatch.from_pydict(
        {name: pa.array(labels) if name == LABEL else part.column(name) for name in part.schema.names}
    )


def _columns(rows: Sequence[Row]) -> dict[str, "pa.Array"]:
    import pyarrow as pa

    files = [None if row.files == (row.path,) else [*map(_raw, row.files)] for row in rows]
    return {
        PATH: pa.array([_raw(row.path) for row in rows], pa.binary()),
        LABEL: pa.array([row.label for row in rows], pa.int32()),
        FILES: pa.array(files, pa.list_(pa.binary())),
        BOXES: pa.array([row.boxes or None for row in rows], pa.list_(pa.list_(pa.int32(), 4))),
    }


def _as_text(part: "pa.RecordBatch") -> "pa.RecordBatch":
    import pyarrow as pa

    text = {PATH: pa.string(), FILES: pa.list_(pa.string())}
    return pa.RecordBatch.from_pydict(
        {name: part.column(name).cast(text.get(name, part.column(name).type)) for name in part.schema.names}
    )


def _raw(path: str) -> bytes:
    try:
        return path.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise DataError(f"the path {path!r} is not a valid file name") from None
