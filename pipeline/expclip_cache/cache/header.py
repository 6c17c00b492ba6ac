"""The header of a shard: what the file contains and at which offsets, and a checksum over all of it, in plain text.

A shard is an HDF5 file behind a user block, which HDF5 reserves for such purposes and skips. Our reader relies on this
header alone: it finds the columns by the offsets here, so no byte of a damaged or hostile file ever reaches the HDF5
library, which crashes on some of them.
"""

import json
import math
import re
from dataclasses import dataclass

import numpy as np
import xxhash

from expclip_cache.base import CacheError, LaterFormatError
from expclip_cache.cache.format import DATASETS, FEATURE_TYPES, FORMAT, VERSION, Identity, Json, canonical_json

SMALLEST = 4096
LARGEST = 1 << 20
"""Bytes of a header: a power of two, as HDF5 requires, between these."""

_FIRST = f"{FORMAT} {VERSION} xxh3_128 "
SEALED_FROM = len(_FIRST) + 32 + 1
"""The checksum covers the file from this byte on: everything but the line that holds it."""


@dataclass(frozen=True)
class Column:
    """One dataset of a shard, as raw little-endian bytes of the file.

    Attributes:
        offset: in bytes from the start of the file.
    """

    dtype: str
    shape: tuple[int, ...]
    offset: int

    @property
    def bytes(self) -> int:
        """Size on disk."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize

    def of(self, buffer, start: int = 0) -> np.ndarray:
        """The array, without a copy, in a buffer of the file's bytes from byte `start` on."""
        found = np.frombuffer(buffer, self.dtype, math.prod(self.shape), self.offset - start)
        return found.reshape(self.shape)


@dataclass(frozen=True)
class Header:
    """The content of a shard's header.

    Attributes:
        bytes: length of the whole file.
        library: names and versions of what made the features; recorded, but not part of the identity.
    """

    number: int
    first_row: int
    identity: Identity
    library: str
    bytes: int
    columns: dict[str, Column]

    @property
    def rows(self) -> range:
        """The row ids it holds."""
        return range(self.first_row, self.first_row + self.columns["features"].shape[0])


def header_size(facts: Json) -> int:
    """Bytes to reserve for a header with these facts (see `facts_of`) and five columns.

    Raises:
        CacheError: the largest header cannot hold them.
    """
    size, needed = SMALLEST, len(canonical_json(facts)) + 1024
    while size < needed:
        size *= 2
    if size > LARGEST:
        raise CacheError(
            f"The settings take {needed} bytes, more than a shard's header can hold ({LARGEST}). Shorten them."
        )
    return size


def facts_of(number: int, first_row: int, identity: Identity, library: str) -> dict[str, Json]:
    """What is known of a shard before its layout; these are the HDF5 attributes too."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "fingerprint": identity.fingerprint,
        "settings": dict(identity.settings),
        "encoder": dict(identity.encoder),
        "library": library,
        "shard": number,
        "first_row": first_row,
        "l2_normalized": False,
    }


def header_text(facts: Json, columns: dict[str, Column], size: int, total: int) -> bytes:
    """The part of a header that the checksum covers: one line of JSON, padded with spaces to `size` bytes."""
    table = {name: [column.dtype, list(column.shape), column.offset] for name, column in columns.items()}
    text = canonical_json(facts | {"columns": table, "head": size, "bytes": total})
    return text.ljust(size - SEALED_FROM - 1) + b"\n"


def first_line(digest: str) -> bytes:
    """The line that names the format and holds the checksum."""
    return f"{_FIRST}{digest}\n".encode("ascii")


def sealed_digest(line: bytes) -> str | None:
    """The checksum in a shard's first line, 32 hex digits; None if the line is not one."""
    found = re.fullmatch(rb"[0-9a-f]{32}", line[len(_FIRST) : -1])
    digest = found.group().decode() if found else ""
    return digest if line == first_line(digest) else None


def required_digest(path: object, raw: bytes) -> str:
    """The checksum in the first line of a shard.

    Args:
        path: for errors.
        raw: the beginning of the file.

    Raises:
        LaterFormatError: a later version has written the file.
        CacheError: it is not a shard, or its first line is damaged.
    """
    digest = sealed_digest(raw[:SEALED_FROM])
    if digest is not None:
        return digest
    if (version := _later_version(raw)) is not None:
        raise later_format(path, version)
    raise CacheError(f"{path}: is not a shard of a feature cache, or its first line is damaged.")


def _later_version(raw: bytes) -> int | None:
    """The version of the format, if a later version of this package has written the file; None if not.

    The first line and the header both name it, so a bit that flipped in one of them is damage and no later version.

    Args:
        raw: the beginning of the file.
    """
    named = re.match(rf"{re.escape(FORMAT)} (\d+) ".encode(), raw)
    if not named or int(named[1]) <= VERSION:
        return None
    lines = raw.split(b"\n", 2)
    try:
        header = json.loads(lines[1])
        return int(named[1]) if header["version"] == int(named[1]) else None
    except (IndexError, ValueError, KeyError, TypeError, RecursionError):
        return None


def later_format(path: object, version: int) -> LaterFormatError:
    """The error for such a file, which is neither replaced nor deleted."""
    return LaterFormatError(
        f"{path}: was written by a later version of expclip-cache, in version {version} of the format, and this one "
        f"knows version {VERSION}. Nothing was changed. Update expclip-cache, or choose another folder."
    )


def parse_header(raw: bytes, total: int) -> Header:
    """Read a header without trusting it.

    Args:
        raw: the beginning of the file, with the whole header in it; at most `LARGEST` bytes.
        total: length of the file in bytes.

    Raises:
        ValueError, KeyError, TypeError, RecursionError: it is not our header, or it contradicts itself or the file.
    """
    line, newline, _ = raw[SEALED_FROM:].partition(b"\n")
    body = json.loads(line)
    if not newline or (body["format"], body["version"]) != (FORMAT, VERSION):
        raise ValueError(f"format {body['format']!r} version {body['version']!r}, expected {FORMAT!r} {VERSION}")
    if body["bytes"] != total:
        raise ValueError(f"{total} bytes long, should be {body['bytes']}: it was truncated")
    identity = Identity(dict(body["settings"]), dict(body["encoder"]))
    facts = facts_of(_count(body["shard"]), _count(body["first_row"]), identity, str(body["library"]))
    table = body["columns"]
    if list(table) != sorted(DATASETS):
        raise ValueError(f"columns {list(table)}, expected {sorted(DATASETS)}")
    columns = {
        name: Column(str(table[name][0]), tuple(_count(n) for n in table[name][1]), _count(table[name][2]))
        for name in DATASETS
    }
    _check_columns(columns)
    _check_places(columns, _count(body["head"]), total)
    # Anything else in the JSON, or the same in other words, was not written by our writer.
    if raw[SEALED_FROM : body["head"]] != header_text(facts, columns, body["head"], total):
        raise ValueError("the header is not in its canonical form, or its fingerprint is not that of its settings")
    return Header(
        number=body["shard"],
        first_row=body["first_row"],
        identity=identity,
        library=body["library"],
        bytes=total,
        columns=columns,
    )


def digest_of(*parts) -> str:
    """XXH3-128 over buffers one after the other, hex."""
    digest = xxhash.xxh3_128()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def _count(value: object) -> int:
    if type(value) is not int or not 0 <= value < 1 << 62:
        raise ValueError(f"expected a count, found {value!r}")
    return value


def _check_columns(columns: dict[str, Column]) -> None:
    features = columns["features"]
    if features.dtype not in [np.dtype(name).newbyteorder("<").str for name in FEATURE_TYPES]:
        raise ValueError(f"features of type {features.dtype}, expected one of {', '.join(FEATURE_TYPES)}")
    if len(features.shape) != 2 or 0 in features.shape:
        raise ValueError(f"features of shape {features.shape}, expected (n, w)")
    for name, kind in (("row", "<i8"), ("label", "<i4"), ("path", "|S"), ("error", "|S")):
        column = columns[name]
        text, width = column.dtype[:2], column.dtype[2:]
        right = column.dtype == kind if kind != "|S" else text == kind and width.isdecimal() and len(width) < 8
        if not right or column.shape != features.shape[:1]:
            raise ValueError(f"{name} is {column.shape} {column.dtype}, expected {features.shape[:1]} {kind}")


def _check_places(columns: dict[str, Column], head: int, total: int) -> None:
    """Every column must be whole, behind the header, and must not overlap another."""
    end = head
    for column in sorted(columns.values(), key=lambda column: column.offset):
        if column.bytes == 0 or column.offset < end:
            raise ValueError(f"the column at byte {column.offset} overlaps what comes before it")
        end = column.offset + column.bytes
    if not SMALLEST <= head <= LARGEST or end > total:
        raise ValueError(f"columns up to byte {end} of {total}")
