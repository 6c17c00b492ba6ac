"""The rows in a manifest's Arrow file, mapped and compared with their hashes part by part."""

import mmap
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, overload

import numpy as np
import xxhash
from typing_extensions import override

from expclip_cache.base import DataError
from expclip_cache.datasets.manifest_header import (
    header_text,
    leading_header_text,
    no_manifest,
    parsed_header,
    refuse_other_columns,
)
from expclip_cache.datasets.row_checks import impossible_part
from expclip_cache.datasets.row_columns import PART_ROWS, numbers

if TYPE_CHECKING:
    import pyarrow as pa


class StoredParts(Sequence["pa.RecordBatch"]):
    """The parts of the rows in a manifest's file; each is compared with its hash when it is first used.

    Pickled as the path of the file and its header's hash.

    Attributes:
        path: of the file, absolute.
        header: see docs/cache-format.md; as JSON `header_text`.
        rows: how many.
        hashes: of each part, see `part_hash`.
    """

    def __init__(self, path: Path, header_hash: str | None = None):
        """Read the header.

        Args:
            header_hash: what the file's header must have, see `header_hash`; any if it is None.

        Raises:
            DataError: it is not a manifest, cannot be read, or has another header.
        """
        import pyarrow as pa

        self.path = path.absolute()
        try:
            with path.open("rb") as file:
                # Not by pyarrow, which cannot open names that are not UTF-8.
                mapped = pa.py_buffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
            self._reader = pa.ipc.open_file(mapped)
            self.header_text = header_text(self._reader.schema)
            if leading_header_text(mapped) != self.header_text:
                raise ValueError("the headers at its beginning and at its end differ")
            self.header = parsed_header(self.header_text)
            rows, frames, hashes = self.header["rows"], self.header["frames"], self.header["parts"]
            # As numbers and texts, or what follows would raise.
            self.rows, self._frames, self.hashes = int(rows), int(frames), [*map(str, hashes)]
            self._classes = len(self.header["classes"])
            refuse_other_columns(self._reader.schema)
            if len({-(-self.rows // PART_ROWS), self._reader.num_record_batches, len(self.hashes)}) > 1:
                raise ValueError(f"{self.rows} rows in {self._reader.num_record_batches} parts")
        except OSError as error:
            raise DataError(f"{path}: the manifest cannot be read ({error}).") from None
        except (pa.ArrowException, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise no_manifest(path, error) from None
        if header_hash not in (None, self.header_hash):
            raise DataError(f"{path}: was replaced while it was in use. Run the same command again.")
        self._used: dict[int, pa.RecordBatch] = {}

    def __reduce__(self) -> tuple[Callable[..., "StoredParts"], tuple[object, ...]]:
        return StoredParts, (self.path, self.header_hash)

    @property
    def header_hash(self) -> str:
        """XXH3-128 of the header, hex. It covers the hashes of the parts, and so the whole content."""
        return xxhash.xxh3_128_hexdigest(self.header_text)

    @override
    def __len__(self) -> int:
        return len(self.hashes)

    @overload
    def __getitem__(self, place: int) -> "pa.RecordBatch": ...
    @overload
    def __getitem__(self, place: slice) -> Sequence["pa.RecordBatch"]: ...
    @override
    def __getitem__(self, place: int | slice) -> "pa.RecordBatch | Sequence[pa.RecordBatch]":
        if isinstance(place, slice):
            return [self[number] for number in range(*place.indices(len(self)))]
        number = range(len(self))[place]
        if number not in self._used:
            self._used[number] = self._checked(number)
        return self._used[number]

    def _checked(self, number: int) -> "pa.RecordBatch":
        import pyarrow as pa

        first = number * PART_ROWS
        rows = range(first, min(first + PART_ROWS, self.rows))
        try:
            part = self._reader.get_batch(number).replace_schema_metadata(None)
            part.validate(full=True)
            if len(part) != len(rows) or part_hash(part) != self.hashes[number]:
                raise ValueError
        except (pa.ArrowException, OSError, ValueError):
            raise DataError(
                f"{self.path}: rows {rows.start} to {rows.stop - 1} do not match their hash in the header. "
                "Delete the file and build it again."
            ) from None
        if problem := impossible_part(part, first, self._classes, self._frames):
            raise DataError(f"{self.path}: {problem}. Fix the dataset and build the manifest again.")
        return part


def part_hash(part: "pa.RecordBatch") -> str:
    """XXH3-128, hex, of the values in a part, whatever their place in memory or in a file."""
    digest = xxhash.xxh3_128()
    for name, column in zip(part.schema.names, part.columns, strict=True):
        digest.update(f"{name} {column.type} {len(column)}\n".encode())
        for values in _values(column):
            digest.update(values)
    return digest.hexdigest()


def _values(column: "pa.Array") -> Iterator[bytes | memoryview]:
    """What is in a column: which values are null, where each one begins, and their bytes."""
    import pyarrow as pa

    kind, start, stop = column.type, column.offset, column.offset + len(column)
    if column.null_count:
        yield np.packbits(numbers(column.is_valid())).tobytes()
    if pa.types.is_fixed_size_list(kind):
        yield from _values(column.flatten())
    elif pa.types.is_list(kind) or pa.types.is_string(kind) or pa.types.is_binary(kind):
        offsets = np.frombuffer(column.buffers()[1] or b"\0" * 4, np.int32)[start : stop + 1]
        yield (offsets - offsets[0]).tobytes()
        if pa.types.is_list(kind):
            yield from _values(column.flatten())
        else:
            yield memoryview(column.buffers()[2] or b"")[offsets[0] : offsets[-1]]
    else:
        width = kind.bit_width // 8
        yield memoryview(column.buffers()[1] or b"")[start * width : stop * width]
