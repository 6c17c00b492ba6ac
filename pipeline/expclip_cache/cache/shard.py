"""Open one shard: verify its checksum, then map it in place. The HDF5 library is not involved."""

import errno
import mmap
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xxhash

from expclip_cache.base import CacheError
from expclip_cache.cache.format import Identity, Json, inconsistent_row, shard_name, unreadable
from expclip_cache.cache.header import (
    LARGEST,
    SEALED_FROM,
    SMALLEST,
    Header,
    parse_header,
    required_digest,
)

BUFFER = 1 << 18
"""Bytes per read of what is only hashed: they stay in the processor's nearest cache."""

STRETCH = 1 << 22
"""Bytes per read into a caller's array: many, so that threads seldom wait for Python's global lock."""

_verified: set[tuple[int, ...]] = set()
"""Device, inode, length and times of change of the files that this process has verified for readers. While a file has
the same ones, it has the same bytes."""


@dataclass(frozen=True)
class Shard:
    """One open shard; the arrays are read-only views of the mapped file.

    If the features were read into a caller's array, they are that array, writable, and the other arrays are copies.

    Attributes:
        features: (n, w) float16 or float32, raw; NaN where `errors` has a reason.
        labels: (n,) int32.
        paths: (n,) byte strings.
        errors: (n,) byte strings.
        digest: XXH3-128 of the file without its first line, hex.
    """

    path: Path
    header: Header
    digest: str
    features: np.ndarray
    labels: np.ndarray
    paths: np.ndarray
    errors: np.ndarray

    @property
    def identity(self) -> Identity:
        """Settings and encoder."""
        return self.header.identity

    @property
    def rows(self) -> range:
        """The row ids it holds."""
        return self.header.rows

    def entry(self) -> "ShardEntry":
        """Its part of the index; holds no mapping."""
        return entry_of(self.header, self.digest, self.paths, self.errors)

    def check_rows(self) -> None:
        """Check that every row has either finite features or an error.

        Raises:
            CacheError: a row has both or neither.
        """
        wrong = inconsistent_row(self.rows, self.features, self.errors)
        if wrong is not None:
            raise CacheError(f"{self.path}: row {wrong} must have either finite features or an error.")


@dataclass(frozen=True)
class ShardEntry:
    """A shard's part of the index.

    Attributes:
        record: name, first_row, rows, bytes, xxh3_128.
        skipped: the rows without features: row, path, reason.
    """

    number: int
    rows: range
    identity: Identity
    library: str
    record: dict[str, Json]
    skipped: list[dict[str, Json]]


def entry_of(header: Header, digest: str, paths: np.ndarray, errors: np.ndarray) -> ShardEntry:
    """A shard's part of the index, from its header, checksum and columns."""
    rows = header.rows
    record = {"name": shard_name(header.number), "first_row": rows.start, "rows": len(rows)}
    record |= {"bytes": header.bytes, "xxh3_128": digest}
    skipped = [
        {
            "row": rows[place],
            "path": os.fsdecode(bytes(paths[place])),
            "reason": bytes(errors[place]).decode("utf-8", "replace"),
        }
        for place in np.flatnonzero(errors != b"").tolist()
    ]
    return ShardEntry(
        number=header.number,
        rows=rows,
        identity=header.identity,
        library=header.library,
        record=record,
        skipped=skipped,
    )


def open_shard(path: Path, into: np.ndarray | None = None, *, once: bool = False) -> Shard:
    """Open one shard without trusting it: every byte is read once and compared with the file's checksum.

    Args:
        into: C-contiguous array. If it has the features' shape and type, and they are at least half of the file, they
            are read into it while they are hashed, it becomes the shard's features, and nothing is mapped.
        once: a file that was opened like this before in this process, and is unchanged, is not verified again.

    Raises:
        CacheAccessError: the file cannot be read at the moment.
        LaterFormatError: a later version has written it.
        CacheError: it is missing, is damaged or is not a shard.
    """
    try:
        # Without O_NONBLOCK a FIFO in place of a shard would block for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        try:
            return _open(path, descriptor, into, once)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise unreadable(path, error) from None


def _open(path: Path, descriptor: int, into: np.ndarray | None, once: bool) -> Shard:
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise CacheError(f"{path}: is not a regular file.")
    seal = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    hashed = None if once and seal in _verified else xxhash.xxh3_128()
    head = os.pread(descriptor, SMALLEST, 0)
    if b"\n" not in head[SEALED_FROM:]:
        head = os.pread(descriptor, LARGEST, 0)
    digest = required_digest(path, head)
    # Parsed before it is verified, to learn the offset of the features; relied on only afterwards.
    parsed = _parse(head, status.st_size)
    columns: dict[str, np.ndarray] = {}
    if into is not None and isinstance(parsed, Header) and _fits(parsed, into):
        columns = _read(descriptor, parsed, into, hashed)
    elif hashed:
        _hash(descriptor, hashed)
    if hashed and hashed.hexdigest() != digest:
        raise CacheError(f"{path}: the content does not match its checksum: the file is damaged.")
    if isinstance(parsed, Exception):
        raise CacheError(f"{path}: is not a shard of this version ({type(parsed).__name__}: {parsed}).")
    if not columns:
        # One mapping per shard, and so one file descriptor, whatever is read from it.
        mapped = mmap.mmap(descriptor, status.st_size, access=mmap.ACCESS_READ)
        columns = {name: column.of(mapped) for name, column in parsed.columns.items()}
    if not _counts_up(columns["row"], parsed.first_row):
        raise CacheError(f"{path}: its row ids do not count up from {parsed.first_row}.")
    if once:
        _verified.add(seal)
    return Shard(
        path=path,
        header=parsed,
        digest=digest,
        features=columns["features"],
        labels=columns["label"],
        paths=columns["path"],
        errors=columns["error"],
    )


def _parse(head: bytes, total: int) -> Header | Exception:
    """The header, or what is wrong with it."""
    try:
        return parse_header(head, total)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError, OverflowError) as error:
        return error


def _fits(header: Header, into: np.ndarray) -> bool:
    """Whether the features exactly fill `into`, come before the other columns and are at least half of the file."""
    features, *others = header.columns.values()
    return (
        (features.shape, np.dtype(features.dtype)) == (into.shape, into.dtype)
        and 2 * features.bytes >= header.bytes
        and all(features.offset < column.offset for column in others)
    )


def _read(descriptor: int, header: Header, into: np.ndarray, hashed: "xxhash.xxh3_128 | None") -> dict[str, np.ndarray]:
    """The columns, the features in `into`, the others in memory of their own; all bytes that are read are hashed."""
    features = header.columns["features"]
    end = features.offset + features.bytes
    before, after = bytearray(features.offset - SEALED_FROM if hashed else 0), bytearray(header.bytes - end)
    wanted = into.view(np.uint8).data.cast("B")
    reads = [[wanted[k : k + STRETCH]] for k in range(0, len(wanted), STRETCH)]
    reads[0].insert(0, memoryview(before))
    reads[-1].append(memoryview(after))
    start = features.offset - len(before)
    for parts in reads:
        size = sum(map(len, parts))
        _fill(descriptor, parts, start)
        start += size
        if hashed:
            for part in parts:
                hashed.update(part)
    return {name: into if column is features else column.of(after, end) for name, column in header.columns.items()}


def _fill(descriptor: int, parts: Sequence[memoryview], start: int) -> None:
    """Read as many bytes of an open file as fit, from `start`; network file systems may give fewer at a time."""
    left = [part for part in parts if len(part)]
    while left:
        size = os.preadv(descriptor, left, start)
        if not size:
            raise OSError(errno.EIO, "it was truncated while it was read")
        start += size
        while left and size >= len(left[0]):
            size -= len(left.pop(0))
        if size:
            left[0] = left[0][size:]


def _hash(descriptor: int, hashed: "xxhash.xxh3_128") -> None:
    """Hash an open file from its second line to its end."""
    buffer, start = memoryview(bytearray(BUFFER)), SEALED_FROM
    while size := os.preadv(descriptor, [buffer], start):
        hashed.update(buffer[:size])
        start += size


def _counts_up(row: np.ndarray, first: int) -> bool:
    return bool((row == np.arange(first, first + len(row))).all())
