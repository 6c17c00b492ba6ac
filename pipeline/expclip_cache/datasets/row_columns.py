"""Rows in columns: Arrow record batches of a fixed number of rows, which may be mapped from a file.

A row as a Python object takes 350 bytes, in columns 50. A path is kept as the bytes that the file system has.
"""

# pyright: reportAttributeAccessIssue=false
# pyarrow.compute makes its functions when it is imported.

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from operator import eq
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, overload

import numpy as np
from typing_extensions import override

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
        return np.concatenate([numbers(part.column(LABEL)) for part in self.parts])

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


def rows_in(batch: "pa.RecordBatch") -> Iterator[tuple[str, int, tuple[str, ...], tuple[Box, ...]]]:
    """Path, label, files and boxes of each row of a batch."""
    paths = map(text_of, _values(batch, PATH))
    for path, label, files, boxes in zip(
        paths, _values(batch, LABEL), _values(batch, FILES), _values(batch, BOXES), strict=True
    ):
        yield path, label, (path,) if files is None else tuple(map(text_of, files)), tuple(map(tuple, boxes or ()))


def text_of(path: str | bytes) -> str:
    """A path in a column as Python has it."""
    return path if isinstance(path, str) else path.decode("utf-8", "surrogateescape")


def numbers(column: "pa.Array | pa.ChunkedArray") -> np.ndarray:
    """A column of whole numbers or truth values without nulls. `to_numpy` would import pandas where it is installed."""
    import pyarrow as pa

    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    if pa.types.is_boolean(column.type):
        return numbers(column.cast(pa.int8())).astype(bool)
    kind = np.dtype(str(column.type))
    if not len(column):
        return np.empty(0, kind)
    return np.frombuffer(column.buffers()[1], kind, len(column), column.offset * kind.itemsize)


def fixed_bytes(column: "pa.FixedSizeBinaryArray") -> memoryview:
    """The values of a column of fixed width, one after the other."""
    width, values = column.type.byte_width, column.buffers()[1]
    return memoryview(values)[column.offset * width : (column.offset + len(column)) * width]


def _values(batch: "pa.RecordBatch", name: str) -> list[Any]:
    return batch.column(name).to_pylist() if name in batch.schema.names else [None] * batch.num_rows
