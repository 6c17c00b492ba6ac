"""Open one shard: prove it whole, then map it in place. The HDF5 library is not involved."""

import mmap
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xxhash

from pipeline.errors import CacheError
from pipeline.shards.header import LARGEST, SEALED_FROM, Header, parse_head, sealed_digest
from pipeline.shards.schema import Identity, Json, shard_name, unlike

Seal = tuple[int, ...]
"""Device, inode, length and time of change of a file: while they stay, so do its bytes."""


@dataclass(frozen=True)
class Shard:
    """One opened shard; the arrays are read-only views of the mapped file.

    Attributes:
        features: (n, w) float16 or float32, raw; NaN where `errors` has a reason.
        labels: (n,) int32.
        paths: (n,) byte strings.
        errors: (n,) byte strings.
        digest: XXH3-128 of the file without its first line, hex.
        seal: see `open_shard`.
    """

    path: Path
    header: Header
    digest: str
    seal: Seal
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
        """The manifest rows it holds."""
        return self.header.rows

    def entry(self) -> "ShardEntry":
        """What the index keeps of it; holds no mapping."""
        rows = self.rows
        record = {"name": shard_name(self.header.number), "first_row": rows.start, "rows": len(rows)}
        record |= {"bytes": self.header.bytes, "xxh3_128": self.digest}
        skipped = [
            {
                "row": rows[place],
                "path": os.fsdecode(bytes(self.paths[place])),
                "reason": bytes(self.errors[place]).decode("utf-8", "replace"),
            }
            for place in np.flatnonzero(self.errors != b"").tolist()
        ]
        return ShardEntry(self.header.number, rows, self.identity, self.header.library, record, skipped)

    def check_rows(self) -> None:
        """Prove that every row has either finite features or an error.

        Raises:
            CacheError: a row has both or neither.
        """
        wrong = unlike(self.rows, self.features, self.errors)
        if wrong is not None:
            raise CacheError(f"{self.path}: row {wrong} must have finite features or an error, and has not one.")


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


def open_shard(path: Path, known: Seal | None = None) -> Shard:
    """Open one shard without trusting it. Every byte is read once and compared with the file's checksum.

    Args:
        known: the `seal` of this shard when it was last opened; while the file has it, it is not read again.

    Raises:
        CacheError: the file is missing, cannot be read, is damaged or no shard.
    """
    try:
        # Without O_NONBLOCK a FIFO in place of a shard would block for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        try:
            return _open(path, descriptor, known)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise CacheError(f"{path}: cannot be read as a shard ({error.strerror}).") from None


def _open(path: Path, descriptor: int, known: Seal | None) -> Shard:
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise CacheError(f"{path}: is not a plain file.")
    seal = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    head = os.pread(descriptor, LARGEST, 0)
    digest = sealed_digest(head[:SEALED_FROM])
    if digest is None:
        raise CacheError(f"{path}: is no shard of a feature cache, or its first line is damaged.")
    if seal != known and _digest_from(descriptor, SEALED_FROM) != digest:
        raise CacheError(f"{path}: the content does not match its checksum: the file is damaged.")
    try:
        header = parse_head(head, status.st_size)
        # One mapping a shard, and so one file descriptor, whatever is read from it.
        mapped = mmap.mmap(descriptor, status.st_size, access=mmap.ACCESS_READ)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError, OverflowError) as error:
        raise CacheError(f"{path}: is no shard of this version ({type(error).__name__}: {error}).") from None
    features, row, labels, paths, errors = (column.of(mapped) for column in header.columns.values())
    if not _counts_up(row, header.first_row):
        raise CacheError(f"{path}: its rows do not count up from {header.first_row}.")
    return Shard(path, header, digest, seal, features, labels, paths, errors)


def _digest_from(descriptor: int, start: int) -> str:
    """XXH3-128 of an open file from byte `start` to its end, hex."""
    digest, place, buffer = xxhash.xxh3_128(), start, bytearray(1 << 20)
    view = memoryview(buffer)
    while size := os.preadv(descriptor, [buffer], place):
        digest.update(view[:size])
        place += size
    return digest.hexdigest()


def _counts_up(row: Sequence[int], first: int) -> bool:
    return bool((row == np.arange(first, first + len(row))).all())
