"""The rows of a manifest as lines of JSON, whose hash is the manifest's identity, whatever it is stored in."""

# pyright: reportAttributeAccessIssue=false
# pyarrow.compute makes its functions when it is imported.

import binascii
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

from expclip_cache.datasets.row_columns import BOXES, BYTES, DIGEST, FILES, LABEL, PATH, fixed_bytes, rows_in

if TYPE_CHECKING:
    import pyarrow as pa

NOT_PLAIN = r"[^ !#-\[\]-~]"
"""What is escaped in JSON: all but the printable characters of ASCII without the quotation mark and the backslash."""


def row_lines(part: "pa.RecordBatch") -> "bytes | memoryview":
    """The lines of a part's rows."""
    import pyarrow as pa
    import pyarrow.compute as pc

    path = part.column(PATH).cast(pa.binary())
    plain = not {FILES, BOXES} & {*part.schema.names} and not part.column(DIGEST).null_count
    if not plain or pc.any(pc.match_substring_regex(path, NOT_PLAIN)).as_py():
        return "".join(_lines_one_by_one(part)).encode("ascii")
    digest = pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(32), len(part), [None, pa.py_buffer(binascii.hexlify(fixed_bytes(part.column(DIGEST))))]
    )
    size, label = (part.column(name).cast(pa.string()).cast(pa.binary()) for name in (BYTES, LABEL))
    pieces = b'{"bytes":', size, b',"label":', label, b',"path":"', path, b'","xxh3_128":"', digest.cast(pa.binary())
    lines = pc.binary_join_element_wise(*pieces, b'"}\n', b"")
    offsets = memoryview(lines.buffers()[1]).cast("i")
    return memoryview(lines.buffers()[2])[offsets[lines.offset] : offsets[lines.offset + len(lines)]]


def json_line(value: object) -> bytes:
    """One line of ASCII; names that are not UTF-8 survive as lone surrogates."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode("ascii") + b"\n"


def _lines_one_by_one(part: "pa.RecordBatch") -> Iterator[str]:
    """What `json_line` would make of each row, several times as fast."""
    sizes, digests = part.column(BYTES).to_pylist(), part.column(DIGEST).to_pylist()
    for (path, label, files, boxes), size, raw in zip(rows_in(part), sizes, digests, strict=True):
        listed = "" if files == (path,) else f'"files":{json.dumps(files, separators=(",", ":"))},'
        cropped = f'"boxes":{json.dumps(boxes, separators=(",", ":"))},' if boxes else ""
        digest = "null" if raw is None else f'"{raw.hex()}"'
        yield f'{{{cropped}"bytes":{size},{listed}"label":{label},"path":{json.dumps(path)},"xxh3_128":{digest}}}\n'
