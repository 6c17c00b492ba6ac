"""The header of a shard, and single columns of it, by a few short reads."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from expclip_cache.base import CacheError
from expclip_cache.cache.header import (
    LARGEST,
    SEALED_FROM,
    Header,
    parse_header,
    required_digest,
)
from expclip_cache.cache.shard import ShardEntry, entry_of

FIRST_READ = 1 << 16
"""Bytes that contain the header of nearly every shard."""

Read = Callable[[int, int], bytes]
"""Returns the bytes of a file from a start to an end."""


@dataclass(frozen=True)
class Skimmed:
    """A shard by its header alone: all that is verified is that the header is ours and fits the file's length.

    Attributes:
        digest: the checksum that the first line states, hex.
    """

    header: Header
    digest: str
    read: Read

    def column(self, name: str) -> np.ndarray:
        """One dataset, (n,) or (n, w), read now."""
        column = self.header.columns[name]
        return column.of(self.read(column.offset, column.offset + column.bytes), column.offset)

    def entry(self) -> ShardEntry:
        """Its part of the index. Paths are read only if there are errors."""
        errors = self.column("error")
        paths = self.column("path") if (errors != b"").any() else errors
        return entry_of(self.header, self.digest, paths, errors)


def skim(where: str, read: Read, total: int) -> Skimmed:
    """Read the header of a shard of `total` bytes.

    Args:
        where: named in errors.

    Raises:
        LaterFormatError: a later version has written it.
        CacheError: it is not a shard, its header is damaged, or it is not as long as its header says.
    """
    raw = read(0, min(total, FIRST_READ))
    if b"\n" not in raw[SEALED_FROM:]:
        raw = read(0, min(total, LARGEST))
    digest = required_digest(where, raw)
    try:
        return Skimmed(parse_header(raw, total), digest, read)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError, OverflowError) as error:
        raise CacheError(f"{where}: is not a shard of this version ({type(error).__name__}: {error}).") from None
