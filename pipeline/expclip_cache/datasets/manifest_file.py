"""The file of a manifest: an Arrow file with one column for each attribute of a row.

It is mapped, so a process reads what it asks for: opening costs the header, and a row its part of 65,536 rows. The
header, in the schema's metadata, has a hash of each part, which is compared when the part is first used. Files of the
earlier format, JSON lines, are read as a whole.
"""

import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import xxhash
from typing_extensions import override

from expclip_cache.base import DataError, atomic_file, make_folder
from expclip_cache.datasets.manifest import Manifest, impossible_header, inconsistency, manifest_rows
from expclip_cache.datasets.manifest_json import parse_json_lines
from expclip_cache.datasets.manifest_lines import json_line
from expclip_cache.datasets.row_checks import impossible_part
from expclip_cache.datasets.row_columns import BOXES, BYTES, DIGEST, FILES, LABEL, PART_ROWS, PATH, RowColumns

if TYPE_CHECKING:
    import pyarrow as pa

FORMAT = "expclip-cache manifest 2"

HEADER, HEADER_HASH = b"expclip-cache", b"expclip-cache.xxh3_128"
"""Keys in the schema's metadata."""

MAGIC = b"ARROW1"

HEADER_BYTES = 1 << 22
"""How many bytes of a manifest file to read to be sure of having its header: room for the hashes of 8,000 million rows.
"""


def write_manifest(manifest: Manifest, path: Path) -> None:
    """Write the file atomically: it is complete or does not exist. The same rows give the same bytes.

    A manifest that was read from such a file is copied, without a look at its rows.

    Raises:
        DataError: there are no rows, a path is not one that a file can have, or the manifest comes from a file that is
            damaged or was replaced.
        OSError: the file cannot be written.
    """
    import pyarrow as pa

    if not manifest.rows:
        raise DataError(f"{path}: {manifest.name} has no rows, so there is no manifest of it.")
    parts = manifest.columns.parts
    stored = parts if isinstance(parts, StoredParts) else None
    header = {
        "format": FORMAT,
        "name": manifest.name,
        "classes": manifest.classes,
        "notes": manifest.notes,
        "rows": len(manifest.rows),
        "frames": manifest.frames,
        "sha256": manifest.sha256,
        "parts": stored.hashes if stored else [part_hash(part) for part in parts],
        **manifest.reading,
    }
    text = json_line(header)
    metadata = {HEADER: text, HEADER_HASH: xxhash.xxh3_128_hexdigest(text).encode()}
    make_folder(path.parent)
    with atomic_file(path) as temporary:
        if stored and stored.header_text == text:
            _copy(stored, temporary)
            return
        with temporary.open("xb") as file:
            with pa.ipc.new_file(file, parts[0].schema.with_metadata(metadata)) as writer:
                for part in parts:
                    # A slice would be written with what is around it.
                    writer.write_batch(part.take(pa.array(np.arange(len(part)))))
            file.flush()
            os.fsync(file.fileno())


def _copy(stored: "StoredParts", temporary: Path) -> None:
    shutil.copyfile(stored.path, temporary)
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
    if StoredParts(temporary).header_text != stored.header_text:
        raise DataError(f"{stored.path}: was replaced while it was in use. Run the same command again.")


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
        yield np.packbits(column.is_valid().to_numpy(zero_copy_only=False)).tobytes()
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


def read_manifest(path: Path) -> Manifest:
    """Open a manifest.

    Of an Arrow file the header is read. Its rows are mapped, and a part of them that does not match its hash, or has
    impossible rows, raises a DataError when it is first used.

    Raises:
        DataError: the file cannot be read or is not a manifest; or, of JSON lines, the rows do not match the hash in
            the header or are impossible.
    """
    try:
        with path.open("rb") as file:
            is_arrow = file.read(len(MAGIC)) == MAGIC
        if not is_arrow:
            return parse_json_lines(path.read_bytes(), path)
    except OSError as error:
        raise DataError(
            f"{path}: the manifest cannot be read ({error.strerror}). Build it first, or correct the path."
        ) from None
    return _opened(path)


def check_manifest(manifest: Manifest, path: Path | str) -> None:
    """Read every row of a manifest, and compare all of it with its hash.

    Args:
        path: used in error messages.

    Raises:
        DataError: something is damaged or impossible.
    """
    # Without the hash that the file states.
    read = replace(manifest)
    if read.sha256 != manifest.sha256:
        raise DataError(f"{path}: the rows do not match the hash in the header. Delete the file and build it again.")
    if problem := inconsistency(read):
        raise DataError(f"{path}: {problem}. Fix the dataset and build the manifest again.")


def recorded_sha256(raw: bytes) -> str | None:
    """The hash in a manifest's header, from the first `HEADER_BYTES` of the file; None if there is no valid header.

    The hash is not checked against the rows.
    """
    import pyarrow as pa

    try:
        if raw.startswith(MAGIC):
            return _header(_header_text(pa.ipc.read_schema(pa.py_buffer(raw[8:]))))["sha256"]
        return json.loads(raw.partition(b"\n")[0])["sha256"]
    except (ValueError, KeyError, TypeError, RecursionError, OSError):
        return None


class StoredParts(Sequence["pa.RecordBatch"]):
    """The parts of the rows in a manifest's file; each is compared with its hash when it is first used.

    Pickled as the path of the file.

    Attributes:
        path: of the file.
        header: see docs/cache-format.md; as JSON `header_text`.
        rows: how many.
        hashes: of each part, see `part_hash`.
    """

    def __init__(self, path: Path):
        """Read the header.

        Raises:
            DataError: it is not a manifest, or cannot be read.
        """
        import pyarrow as pa

        self.path = path
        try:
            self._reader = pa.ipc.open_file(pa.memory_map(str(path)))
            self.header_text = _header_text(self._reader.schema)
            self.header = _header(self.header_text)
            rows, frames, hashes = self.header["rows"], self.header["frames"], self.header["parts"]
            # As numbers and texts, or what follows would raise.
            self.rows, self._frames, self.hashes = int(rows), int(frames), [*map(str, hashes)]
            self._classes = len(self.header["classes"])
            _refuse_other_columns(self._reader.schema)
            if len({-(-self.rows // PART_ROWS), self._reader.num_record_batches, len(self.hashes)}) > 1:
                raise ValueError(f"{self.rows} rows in {self._reader.num_record_batches} parts")
        except OSError as error:
            raise DataError(f"{path}: the manifest cannot be read ({error}).") from None
        except (pa.ArrowException, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise _no_manifest(path, error) from None
        self._used: dict[int, pa.RecordBatch] = {}

    def __reduce__(self) -> tuple[Callable[..., "StoredParts"], tuple[object, ...]]:
        return StoredParts, (self.path,)

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


def _opened(path: Path) -> Manifest:
    parts = StoredParts(path)
    header = parts.header
    try:
        manifest = Manifest(
            name=str(header["name"]),
            classes=tuple(header["classes"]),
            rows=RowColumns(parts, parts.rows, manifest_rows),
            notes=tuple(header["notes"]),
            short_clip=header.get("short_clip"),
            appearance=header.get("appearance"),
        )
        problem = impossible_header(manifest) if parts.rows else "there are no rows"
    except (KeyError, TypeError) as error:
        raise _no_manifest(path, error) from None
    if problem:
        raise DataError(f"{path}: {problem}. Fix the dataset and build the manifest again.")
    # The property would read all rows to compute it; `check_manifest` does.
    vars(manifest)["sha256"] = str(header["sha256"])
    return manifest


def _header_text(schema: "pa.Schema") -> bytes:
    """The header in a schema, as JSON.

    Raises:
        ValueError: there is none, or it is damaged.
    """
    metadata = schema.metadata or {}
    text = metadata.get(HEADER)
    if text is None or metadata.get(HEADER_HASH) != xxhash.xxh3_128_hexdigest(text).encode():
        raise ValueError("no header that matches its hash")
    return text


def _header(text: bytes) -> dict[str, Any]:
    """The header as a value.

    Raises:
        ValueError: it is of another format.
    """
    header = json.loads(text)
    if header["format"] != FORMAT:
        raise ValueError(f"expected the format {FORMAT!r}, found {header['format']!r}")
    return header


def _refuse_other_columns(schema: "pa.Schema") -> None:
    """Make sure that the columns are those of a manifest.

    Raises:
        ValueError: they are not.
    """
    import pyarrow as pa

    names = (pa.string(), pa.binary())
    expected: dict[str, tuple[pa.DataType, ...]] = {
        PATH: names,
        LABEL: (pa.int32(),),
        BYTES: (pa.int64(),),
        DIGEST: (pa.binary(16),),
        FILES: tuple(map(pa.list_, names)),
        BOXES: (pa.list_(pa.list_(pa.int32(), 4)),),
    }
    if missing := [name for name in (PATH, LABEL, BYTES, DIGEST) if name not in schema.names]:
        raise ValueError(f"no column {missing[0]}")
    if wrong := [field for field in schema if field.type not in expected.get(field.name, ())]:
        raise ValueError(f"a column {wrong[0].name} of type {wrong[0].type}")


def _no_manifest(path: Path, found: object) -> DataError:
    return DataError(f"{path}: is not a manifest ({found}). Correct the path, or build it again.")
