"""The images in the rows of a Parquet file, as the library `datasets` writes them."""

import errno
import json
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property, lru_cache
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, BinaryIO

from expclip_cache.base import DataError
from expclip_cache.datasets.address import Address, Root

if TYPE_CHECKING:
    import pyarrow as pa

GROUPS = 2
"""Row groups whose images are kept in memory: one is read by neighbours, and a clip may reach into the next."""


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
        import pyarrow as pa
        import pyarrow.parquet as pq

        self.path = path
        try:
            with pq.ParquetFile(_source(path)) as file:
                self._metadata = file.metadata
                self.schema: pa.Schema = file.schema_arrow
                groups = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
        except pa.ArrowInvalid as error:
            raise DataError(f"{path}: is not a Parquet file ({error}).") from None
        self.starts = [sum(groups[:group]) for group in range(len(groups))]
        self.rows = sum(groups)
        self._group = lru_cache(GROUPS)(self._read_group)
        self._reading_group = Lock()

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
        """The columns that may hold the images: those that `datasets` calls an Image, or else one called `image`."""
        named = [name for name, kind in self.features.items() if kind.get("_type") == "Image"]
        return [name for name in named or ["image"] if name in self.schema.names]

    def column(self, name: str) -> list:
        """The values of a column.

        Raises:
            OSError: the file cannot be read.
        """
        import pyarrow.parquet as pq

        with self._reading(), pq.ParquetFile(_source(self.path), metadata=self._metadata, pre_buffer=True) as file:
            return file.read(columns=[name]).column(0).to_pylist()

    def paths_beside(self, column: str) -> list[str] | None:
        """The paths of the images, if the rows have paths and no images inside; the first row decides."""
        import pyarrow as pa

        kind = self.schema.field(column).type
        if pa.types.is_string(kind) or pa.types.is_large_string(kind):
            return self.column(column)
        if not pa.types.is_struct(kind) or self.rows == 0:
            return None
        first = self._group(column, 0)[0].as_py() or {}
        if isinstance(first.get("bytes"), bytes) or "path" not in first:
            return None
        return [value["path"] for value in self.column(f"{column}.path")]

    def read(self, name: str, most: int | None = None) -> bytes:
        """The image in a row.

        Args:
            name: column and row, from 0, such as `image/0012`.
            most: not used: a column is read as a whole.

        Raises:
            OSError: there is no such row, it has no image inside, or the file cannot be read.
        """
        column, _, number = name.rpartition("/")
        if not number.isdecimal() or int(number) >= self.rows or column not in self.schema.names:
            raise FileNotFoundError(errno.ENOENT, f"does not exist in {self.path}")
        row = int(number)
        group = bisect_right(self.starts, row) - 1
        with self._reading_group:  # threads that need the same row group would all read it
            values = self._group(column, group)
        value = values[row - self.starts[group]].as_py()
        content = value.get("bytes") if isinstance(value, dict) else value
        if not isinstance(content, bytes):
            raise FileNotFoundError(errno.ENOENT, f"{self.path} has no image in this row")
        return content

    def _read_group(self, column: str, group: int) -> "pa.ChunkedArray":
        import pyarrow.parquet as pq

        with self._reading(), pq.ParquetFile(_source(self.path), metadata=self._metadata, pre_buffer=True) as file:
            return file.read_row_group(group, columns=[column]).column(0)

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Damage of the file's pages is an error of reading."""
        import pyarrow as pa

        try:
            yield
        except pa.ArrowInvalid as error:
            raise FileNotFoundError(errno.ENOENT, f"{self.path} is damaged ({error})") from None


def _source(path: Root) -> Path | BinaryIO:
    """What pyarrow reads from."""
    return path.open("rb", buffering=0) if isinstance(path, Address) else path
