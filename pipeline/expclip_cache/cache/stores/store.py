"""Where a cache is stored: a folder, or an address such as s3://bucket/features/photos; only this package knows which.

Writers make each file complete in the store's `folder` and then `put` it; readers ask for a shard and get it mapped.
For a cache in a folder both are the folder itself, and `put` has nothing left to do.
"""

from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np

from expclip_cache.base import is_address
from expclip_cache.cache.format import Json
from expclip_cache.cache.shard import Shard, ShardEntry
from expclip_cache.cache.skim import Skimmed

A = TypeVar("A")
B = TypeVar("B")


class Store(Protocol):
    """A place for the files of one cache: shards, manifest, index. `str()` of it is what the user called it."""

    @property
    def folder(self) -> Path:
        """On this machine, where a file is written completely before it is `put`."""
        ...

    def path(self, name: str) -> str:
        """How a file of the cache is called in messages."""
        ...

    def size(self, name: str) -> int | None:
        """Bytes of one file; None if it does not exist."""
        ...

    def sizes(self) -> dict[str, int]:
        """Bytes of each file that has its final name; empty if the place does not exist. One listing."""
        ...

    def read(self, name: str, start: int = 0, end: int | None = None) -> bytes:
        """Bytes of a file from `start` to `end`, or to its end.

        Raises:
            CacheError: it is missing or cannot be read.
        """
        ...

    def local_file(self, name: str, head: int, *, fresh: bool = False) -> Path:
        """A file, on this machine: in a folder the file itself, of a remote store a copy that is kept.

        Args:
            head: a copy is made again if its length or so many of its first bytes are not those of the file.
            fresh: make it again in any case.

        Raises:
            CacheError: it is missing or cannot be read.
        """
        ...

    def shard(self, record: Json, into: np.ndarray | None = None) -> Shard:
        """The shard that the index has this record of, mapped or read `into` an array, see `open_shard`.

        Its bytes are verified the first time that this process asks for it, and whenever the file has changed since.
        May be called from several threads.

        Raises:
            CacheError: it is missing or damaged; or, in a remote store, not the recorded one.
        """
        ...

    def opened(self, name: str) -> AbstractContextManager[Shard]:
        """The shard of this name as it is in the store now, every byte of it read and verified, for a block."""
        ...

    def skim(self, name: str) -> Skimmed:
        """The header of a shard, read alone.

        Raises:
            CacheError: it is missing, cannot be read, or is not a shard.
        """
        ...

    def proved(self, name: str) -> ShardEntry:
        """A finished shard's part of the index.

        A folder reads every byte. A remote store, whose bytes were verified when they were put, reads the header, the
        length and the errors.

        Raises:
            CacheError: it is damaged or not a shard.
        """
        ...

    def waiting(self) -> frozenset[str]:
        """Names of the shards that an earlier run wrote to `folder` but did not put."""
        ...

    def put(self, name: str) -> None:
        """Make a file of `folder` part of the cache: complete, under its final name, in one step.

        Raises:
            CacheError: the store fails for good. The file stays in `folder`, for the next run to put.
        """
        ...

    def remove(self, name: str) -> None:
        """Remove a file from the cache; nothing happens if it does not exist."""
        ...

    def remove_temporaries(self, names: Collection[str] | None) -> None:
        """Delete what killed runs left behind while writing these files (None: any); nobody may be writing them now."""
        ...

    def leased(self, shards: range | None) -> AbstractContextManager[Callable[[], None]]:
        """Announce for a block that these shards (None: all) are being written, where the lock of `folder` does not.

        Raises:
            CacheError: another process has announced the same.
        """
        ...

    def each(self, work: Callable[[A], B], items: Iterable[A]) -> Iterator[B]:
        """`work` of each item, in order; as many at a time as the store is fastest with."""
        ...


def store_at(place: "str | Path | Store", mirror: Path | None = None) -> Store:
    """The store at a path or address. Nothing is opened yet.

    Args:
        place: a folder, or an address that fsspec understands: s3://, gs://, memory://, file:// and others.
        mirror: for an address, the folder that keeps shards on this machine; by default that of the environment
            variable EXPCLIP_CACHE_MIRROR, else one in the user's cache folder.
    """
    if isinstance(place, Path) or (isinstance(place, str) and not is_address(place)):
        from expclip_cache.cache.stores.folder import Folder

        return Folder(Path(place))
    if isinstance(place, str):
        from expclip_cache.cache.stores.remote import Remote

        return Remote(place, mirror)
    return place
