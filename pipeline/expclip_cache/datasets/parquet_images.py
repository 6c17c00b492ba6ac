"""The images in the rows of a Parquet file, as the libraries `datasets` and img2dataset write them."""

import errno
import json
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property, lru_cache
from itertools import accumulate
from threading import Lock
from typing import TYPE_CHECKING, cast

from expclip_cache.base import DataError
from expclip_cache.datasets.address import Address, Root

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

GROUPS = 2
"""Row groups whose images are kept in memory: one is read by neighbours, and a clip may reach into the next."""

MOST_AT_ONCE = (1 << 31) - 2
"""Bytes of distinct values that an Arrow dictionary can hold."""

DIGITS = 20
"""More than the number of any row has."""

BYTES, TEXT = ("binary", "large_binary", "binary_view"), ("string", "large_string", "string_view")
"""Names of the types of images and of their paths."""

IMAGE_COLUMNS = ("image", "jpg", "jpeg", "png", "webp")
"""Columns that hold the images if nothing says which: img2dataset names them by their format."""


class ParquetImages:
    """A Parquet file with a column of images: structs of `bytes` and `path`, or bytes.

    Attributes:
        path: of the file.
        schema: its columns.
        rows: how many it has.
        starts: first row of each row group.
    """

    def __init__(self, path: Root):
        """Read the footer.

        Raises:
            OSError: the file cannot be read.
            DataError: it is not a Parquet file.
        """
        self.path = path
        self._footer: pq.FileMetaData | None = None
        with self._opened("is not a Parquet file, or its end is damaged or cut off") as file:
            self._footer, self.schema = file.metadata, cast("pa.Schema", file.schema_arrow)
            leaves = map(file.metadata.schema.column, range(file.metadata.num_columns))
            self._place = {leaf.path: place for place, leaf in enumerate(leaves)}
            self._sizes = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
        *self.starts, self.rows = accumulate(self._sizes, initial=0)
        self._group = lru_cache(GROUPS)(self._read_group)
        self._reading: dict[tuple[str, int], Lock] = defaultdict(Lock)

    @cached_property
    def features(self) -> dict[str, dict]:
        """What `datasets` says of the columns: name -> `_type` and more; empty in a file of another writer."""
        try:
            features = json.loads((self.schema.metadata or {})[b"huggingface"])["info"]["features"]
            return {name: kind for name, kind in features.items() if isinstance(kind, dict)}
        except (KeyError, ValueError, TypeError, AttributeError):
            return {}

    @property
    def image_columns(self) -> list[str]:
        """The columns that may hold the images: those that `datasets` calls an Image, or else `IMAGE_COLUMNS`."""
        named = [name for name, kind in self.features.items() if kind.get("_type") == "Image"]
        return [name for name in named or IMAGE_COLUMNS if name in self.schema.names]

    def holds_images(self, column: str) -> bool:
        """Whether a column's type is one that images have: bytes, paths, or structs of the two."""
        kind = self.schema.field(column).type
        return _is_image(kind) or str(kind) in (*BYTES, *TEXT)

    def column(self, name: str) -> list:
        """The values of a column.

        Raises:
            OSError: the file cannot be read.
            DataError: it is damaged.
        """
        with self._opened() as file:
            return file.read(columns=[name]).column(0).to_pylist()

    def paths_beside(self, column: str) -> list[str | None] | None:
        """The path of each row, if the rows have paths instead of images."""
        kind = self.schema.field(column).type
        if str(kind) in TEXT:
            return self.column(column)
        if not _is_image(kind) or len(self.without_image(column)) < self.rows:
            return None
        return [(value or {}).get("path") for value in self.column(f"{column}.path")]

    def without_image(self, column: str) -> set[int]:
        """The rows that hold no image. Row groups that have an image in each row, as they say themselves, are not read.

        Raises:
            OSError: the file cannot be read.
            DataError: it is damaged.
        """
        inside, leaf = _is_image(self.schema.field(column).type), self._leaf(column)
        rows = set[int]()
        for group, start in enumerate(self.starts):
            if self._nulls(leaf, group) == 0:
                continue
            values = self._values(leaf, leaf, group)
            missing = (values.flatten()[0] if inside else values).is_null().to_pylist()
            rows.update(start + row for row, is_missing in enumerate(missing) if is_missing)
        return rows

    def read(self, name: str, most: int | None = None) -> bytes:
        """The image in a row.

        Args:
            name: column and row, from 0, such as `image/0012`.
            most: not used: a column is read as a whole.

        Raises:
            OSError: there is no such row, it has no image inside, or the file cannot be read.
            DataError: the file is damaged.
        """
        column, _, number = name.rpartition("/")
        is_row = number.isascii() and number.isdecimal() and len(number) < DIGITS and int(number) < self.rows
        if not is_row or self.schema.names.count(column) != 1 or not self.holds_images(column):
            raise FileNotFoundError(errno.ENOENT, f"does not exist in {self.path}")
        row = int(number)
        group = bisect_right(self.starts, row) - 1
        with self._reading[column, group]:  # threads that need the same one would all read it
            values = self._group(column, group)
        value = values[row - self.starts[group]].as_py()
        content = value.get("bytes") if isinstance(value, dict) else value
        if not isinstance(content, bytes):
            raise FileNotFoundError(errno.ENOENT, f"{self.path} has no image in this row")
        return content

    def _read_group(self, column: str, group: int) -> "pa.ChunkedArray":
        values = self._values(column, self._leaf(column), group)
        if len(values) != self._sizes[group]:
            raise DataError(f"{self.path}: is damaged (row group {group} has {len(values)} values).")
        return values

    def _values(self, column: str, leaf: str, group: int) -> "pa.ChunkedArray":
        """A column of a row group, or a leaf of it.

        A file stores a value once that many rows have. So does the result, as a dictionary: in full they could be
        thousands of times as large as the file.
        """
        once = [leaf] if self._chunk(leaf, group).total_uncompressed_size < MOST_AT_ONCE else []
        with self._opened(once=once) as file:
            return file.read_row_group(group, columns=[column]).column(0)

    def _leaf(self, column: str) -> str:
        """Where a file has the bytes of a column of images."""
        return f"{column}.bytes" if _is_image(self.schema.field(column).type) else column

    def _chunk(self, leaf: str, group: int) -> "pq.ColumnChunkMetaData":
        """What the footer says of a leaf of a row group."""
        assert self._footer is not None
        return self._footer.row_group(group).column(self._place[leaf])

    def _nulls(self, leaf: str, group: int) -> int | None:
        """How many values of a leaf are null in a row group; None if the footer does not say."""
        said = self._chunk(leaf, group).statistics
        return said.null_count if said is not None and said.has_null_count else None

    @contextmanager
    def _opened(self, otherwise: str = "is damaged", once: Sequence[str] = ()) -> "Iterator[pq.ParquetFile]":
        """The file, open. Damage is an error of the data: some comes as one of the system, but without a number.

        Args:
            otherwise: what is said of damage.
            once: leaves whose equal values are to be in memory once.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            # pyarrow would read every part of a column by itself; a store answers late, so they are requested at once.
            source = self.path.open("rb", buffering=0) if isinstance(self.path, Address) else self.path
            with pq.ParquetFile(
                source, metadata=self._footer, read_dictionary=once, pre_buffer=source is not self.path
            ) as file:
                yield file
        except (pa.ArrowException, OSError, ValueError) as error:
            if isinstance(error, MemoryError) or getattr(error, "errno", None) is not None:
                raise
            raise DataError(f"{self.path}: {otherwise} ({error}).") from None


def _is_image(kind: "pa.DataType") -> bool:
    """Whether it is the type that `datasets` has for an Image."""
    import pyarrow as pa

    names = [field.name for field in kind] if pa.types.is_struct(kind) else []
    return {"bytes", "path"} <= set(names) and len(set(names)) == len(names)
