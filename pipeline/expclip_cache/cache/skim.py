"""What a shard says of itself, by a few short reads of it: its head, and the columns that are asked for."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from expclip_cache.base import CacheError
from expclip_cache.cache.header import LARGEST, SEALED_FROM, Header, parse_head, sealed_digest
from expclip_cache.cache.shard import ShardEntry, entry_of

FIRST_READ = 1 << 16
"""Bytes that hold the head of nearly every shard."""

Read = Callable[[int, int], bytes]
"""Gives the bytes of a file from a start to an end."""


@dataclass(frozen=True)
class Skimmed:
    """A shard by its head alone: nothing of it is proved but that the head is ours and fits the file's length.

    Attributes:
        digest: the checksum that the first line claims, hex.
    """

    header: Header
    digest: str
    read: Read

    def column(self, name: str) -> np.ndarray:
        """One dataset, (n,) or (n, w), read now."""
        column = self.header.columns[name]
        return replace(column, offset=0).of(self.read(column.offset, column.offset + column.bytes))

    def entry(self) -> ShardEntry:
        """What the index keeps of it. Paths are read only where there are errors."""
        errors = self.column("error")
        paths = self.column("path") if (errors != b"").any() else errors
        return entry_of(self.header, self.digest, paths, errors)


def skim(where: str, read: Read, total: int) -> Skimmed:
    """Read the head of a shard of `total` bytes.

    Args:
        where: named in errors.

    Raises:
        CacheError: it is no shard, its head is damaged, or it is not as long as its head says.
    """
    raw = read(0, min(total, FIRST_READ))
    if b"\n" not in raw[SEALED_FROM:]:
        raw = read(0, min(total, LARGEST))
    digest = sealed_digest(raw[:SEALED_FROM])
    if digest is None:
        raise CacheError(f"{where}: is no shard of a feature cache, or its first line is damaged.")
    try:
        return Skimmed(parse_head(raw, total), digest, read)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError, OverflowError) as error:
        raise CacheError(f"{where}: is no shard of this version ({type(error).__name__}: {error}).") from None
