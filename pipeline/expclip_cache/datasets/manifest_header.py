"""The header of a manifest's Arrow file: JSON in the schema's metadata, beside its hash. See docs/cache-format.md."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import xxhash

from expclip_cache.base import DataError
from expclip_cache.datasets.row_columns import BOXES, BYTES, DIGEST, FILES, LABEL, PATH

if TYPE_CHECKING:
    import pyarrow as pa

FORMAT = "expclip-cache manifest 2"

HEADER, HEADER_HASH = b"expclip-cache", b"expclip-cache.xxh3_128"
"""Keys in the schema's metadata."""

MAGIC = b"ARROW1"

HEADER_BYTES = 1 << 22
"""How many bytes of a manifest file to read to be sure of having its header: room for the hashes of 7,000 million rows.
"""


def metadata_of(text: bytes) -> dict[bytes, bytes]:
    """The metadata of a schema that has this header."""
    return {HEADER: text, HEADER_HASH: xxhash.xxh3_128_hexdigest(text).encode()}


def header_text(schema: "pa.Schema") -> bytes:
    """The header in a schema, as JSON.

    Raises:
        ValueError: there is none, or it is damaged.
    """
    metadata = schema.metadata or {}
    text = metadata.get(HEADER)
    if text is None or metadata.get(HEADER_HASH) != xxhash.xxh3_128_hexdigest(text).encode():
        raise ValueError("no header that matches its hash")
    return text


def parsed_header(text: bytes) -> dict[str, Any]:
    """The header as a value.

    Raises:
        ValueError: it is of another format.
    """
    header = json.loads(text)
    if header["format"] != FORMAT:
        raise ValueError(f"expected the format {FORMAT!r}, found {header['format']!r}")
    return header


def recorded_sha256(raw: bytes) -> str | None:
    """The hash in a manifest's header, from the first `HEADER_BYTES` of the file; None if there is no valid header.

    The hash is not checked against the rows.
    """
    import pyarrow as pa

    try:
        if raw.startswith(MAGIC):
            return parsed_header(leading_header_text(pa.py_buffer(raw)))["sha256"]
        return json.loads(raw.partition(b"\n")[0])["sha256"]
    except (pa.ArrowException, ValueError, KeyError, TypeError, RecursionError, OSError):
        return None


def leading_header_text(content: "pa.Buffer") -> bytes:
    """The header in the schema at the beginning of a file; Arrow writes the schema at its end too.

    Raises:
        pa.ArrowException, OSError: it is damaged.
        ValueError: there is none, or it is damaged.
    """
    import pyarrow as pa

    return header_text(pa.ipc.read_schema(content.slice(len(MAGIC) + 2)))


def refuse_other_columns(schema: "pa.Schema") -> None:
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


def no_manifest(path: Path, found: object) -> DataError:
    """The error of a file that is not a manifest.

    Args:
        found: what it is instead.
    """
    return DataError(f"{path}: is not a manifest ({found}). Correct the path, or build it again.")
