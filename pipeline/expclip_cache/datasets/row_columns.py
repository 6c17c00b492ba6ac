"""Rows in columns: Arrow record batches of a fixed number of rows, which may be mapped from a file.

A row as a Python object takes 350 bytes, in columns 50. A path is kept as the bytes that the file system has.
"""

# pyright: reportAttributeAccessIssue=false
# pyarrow.compute makes its functions when it is imported.

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, islice
from operator import eq
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, overload

import numpy as np
from typing_extensions import override

from expclip_cache.base import DataError
from expclip_cache.datasets.boxes import Box

if TYPE_CHECKING:
    import pyarrow as pa

PART_ROWS = 1 << 16
"""Rows of every part but the last."""

PATH, LABEL, FILES, BOXES, BYTES, DIGEST = "path", "label", "files", "boxes", "bytes", "xxh3_128"
"""Columns. `FILES` is null where the path is the only file, and `BOXES` where there are none; where all are, the column
is left out."""


class Row(Protocol):
    """What every row has; see `ListedRow`."""

    @property
    def path(self) -> str: ...  # noqa: D102
    @property
    def label(self) -> int: ...  # noqa: D102
    @property
    def files(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def boxes(self) -> tuple[Box, ...]: ...  # noqa: D102


R = TypeVar("R", bound=Row)


class RowColumns(Sequence[R]):
    """Rows in columns; a row is made when it is asked for.

    Attributes:
        parts: record batches of `PART_ROWS` rows; only the last has fewer.
    """

    def __init__(
        self, parts: Sequence["pa.RecordBatch"], count: int, rows_of: Callable[["pa.RecordBatch"], Iterator[R]]
    ):
        """Columns are not looked at.

        Args:
            count: of the rows.
            rows_of: makes the rows of a batch, a plain function.
        """
        self.parts = parts
        self._count = count
        self._rows_of = rows_of

    @override
    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, place: int) -> R: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[R, ...]: ...
    @override
    def __getitem__(self, place: int | slice) -> R | tuple[R, ...]:
        if isinstance(place, slice):
            start, stop, step = place.indices(self._count)
            if step != 1:
                return tuple(self[row] for row in range(start, stop, step))
            return tuple(chain.from_iterable(self._between(start, stop)))
        row = range(self._count)[place]
        return next(self._rows_of(self.parts[row // PART_ROWS].slice(row % PART_ROWS, 1)))

    @override
    def __iter__(self) -> Iterator[R]:
        return chain.from_iterable(map(self._rows_of, self.parts))

    @override
    def __eq__(self, other: object) -> bool:
        if isinstance(other, RowColumns):
            same = len(self) == len(other) and len(self.parts) == len(other.parts)
            return same and all(first.equals(second) for first, second in zip(self.parts, other.parts, strict=True))
        return isinstance(other, Sequence) and len(self) == len(other) and all(map(eq, self, other))

    __hash__ = None  # pyright: ignore[reportAssignmentType]

    @override
    def __repr__(self) -> str:
        return f"<{self._count} rows>"

    @property
    def labels(self) -> np.ndarray:
        """(n,) int32."""
        if not self._count:
            return np.empty(0, dtype=np.int32)
        return np.concatenate([part.column(LABEL).to_numpy() for part in self.parts])

    def has(self, column: str) -> bool:
        """Whether a column is there."""
        return bool(self._count) and column in self.parts[0].schema.names

    def any_path_ends_in(self, suffixes: Iterable[str]) -> bool:
        """Whether a path has one of these suffixes, in upper or lower case."""
        import pyarrow.compute as pc

        pattern = f"(?:{'|'.join(map(re.escape, suffixes))})$"
        found = (pc.match_substring_regex(part.column(PATH), pattern, ignore_case=True) for part in self.parts)
        return any(pc.any(matches).as_py() for matches in found)

    def _between(self, start: int, stop: int) -> Iterator[Iterator[R]]:
        while start < stop:
            part, place = divmod(start, PART_ROWS)
            rows = min(stop - start, PART_ROWS - place)
            yield self._rows_of(self.parts[part].slice(place, rows))
            start += rows


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


def with_labels(part: "pa.RecordBatch", labels: np.ndarray) -> "pa.RecordBatch":
    """The same rows with other labels, (n,) int32."""
    import pyarrow as pa

    return pa.RecordBatch.from_pydict(
        {name: pa.array(labels) if name == LABEL else part.column(name) for name in part.schema.names}
    )


def path_order(table: "pa.Table") -> "pa.Array":
    """(n,) numbers of the rows in the order of their paths; stable."""
    import pyarrow as pa
    import pyarrow.compute as pc

    return pc.sort_indices(table.column(PATH).cast(pa.large_binary()))


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


def rows_in(batch: "pa.RecordBatch") -> Iterator[tuple[str, int, tuple[str, ...], tuple[Box, ...]]]:
    """Path, label, files and boxes of each row of a batch."""
    paths = map(_text, _values(batch, PATH))
    for path, label, files, boxes in zip(
        paths, _values(batch, LABEL), _values(batch, FILES), _values(batch, BOXES), strict=True
    ):
        yield path, label, (path,) if files is None else tuple(map(_text, files)), tuple(map(tuple, boxes or ()))


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


def fixed_bytes(column: "pa.FixedSizeBinaryArray") -> memoryview:
    """The values of a column of fixed width, one after the other."""
    width, values = column.type.byte_width, column.buffers()[1]
    return memoryview(values)[column.offset * width : (column.offset + len(column)) * width]


def path_bytes(batch: "pa.RecordBatch") -> list[bytes]:
    """The paths of a batch, as the file system has them."""
    import pyarrow as pa

    return batch.column(PATH).cast(pa.binary()).to_pylist()


def _values(batch: "pa.RecordBatch", name: str) -> list[Any]:
    return batch.column(name).to_pylist() if name in batch.schema.names else [None] * batch.num_rows


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


def _text(path: str | bytes) -> str:
    return path if isinstance(path, str) else path.decode("utf-8", "surrogateescape")
