"""Where a cache lives: a folder, or an address such as s3://bucket/features/photos. Nobody else needs to know which.

Writers make each file whole in the store's `folder` and then `put` it; readers ask for a shard and get it mapped. For
a cache in a folder both are the folder itself, and `put` has nothing left to do.
"""

import os
import stat
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np

from expclip_cache.base import CacheError, remove_temporaries
from expclip_cache.cache.format import Json
from expclip_cache.cache.shard import Seal, Shard, ShardEntry, open_shard
from expclip_cache.cache.skim import Skimmed, skim

A = TypeVar("A")
B = TypeVar("B")

AGAIN = "Run `expclip-cache verify --repair` on the cache and the extraction again: it makes only this one."


class Store(Protocol):
    """A place for the files of one cache: shards, manifest, index.

    `str()` of it is what the user called it.

    Attributes:
        folder: on this machine, where a file is written whole before it is `put`.
    """

    folder: Path

    def path(self, name: str) -> str:
        """How a file of the cache is named in messages."""

    def size(self, name: str) -> int | None:
        """Bytes of one file; None if it is not there."""

    def sizes(self) -> dict[str, int]:
        """Bytes of each file that has its final name; none if there is no such place. One listing."""

    def read(self, name: str, start: int = 0, end: int | None = None) -> bytes:
        """Bytes of a file from `start` to `end`, or to its end.

        Raises:
            CacheError: it is missing or cannot be read.
        """

    def shard(self, record: Json, known: Seal | None = None, into: np.ndarray | None = None) -> Shard:
        """The shard that the index has this record of, mapped and proved whole; see `open_shard` for the rest.

        May be called from several threads.

        Raises:
            CacheError: it is missing or damaged; or, in a distant store, not the recorded one.
        """

    def opened(self, name: str) -> AbstractContextManager[Shard]:
        """The shard of this name as it is in the store now, every byte of it read and proved, for a block."""

    def skim(self, name: str) -> Skimmed:
        """The head of a shard, read alone."""

    def proved(self, name: str) -> ShardEntry:
        """What the index keeps of a finished shard.

        A folder reads every byte. A distant store, whose bytes were proved as they were put, reads the head, the
        length and the errors.

        Raises:
            CacheError: it is damaged or no shard.
        """

    def waiting(self) -> frozenset[str]:
        """Names of the shards that an earlier run wrote to `folder` and did not come to put."""

    def put(self, name: str) -> None:
        """Make a file of `folder` part of the cache: whole, under its final name, in one step.

        Raises:
            CacheError: the store fails for good. The file stays in `folder`, for the next run to put.
        """

    def remove(self, name: str) -> None:
        """Take a file out of the cache; nothing happens if it is not there."""

    def remove_temporaries(self, names: Collection[str] | None) -> None:
        """Delete what killed runs left behind while writing these files (None: any), which nobody may be writing now."""

    def leased(self, shards: range | None) -> AbstractContextManager[None]:
        """Say for a block that these shards (None: all) are being written, where the lock of `folder` says it not.

        Raises:
            CacheError: someone else has said so.
        """

    def each(self, work: Callable[[A], B], items: Iterable[A]) -> Iterator[B]:
        """`work` of each item, in order; as many at a time as the store is quickest with."""


def store_at(place: "str | Path | Store", mirror: Path | None = None) -> Store:
    """The store at a path or address. Nothing is opened yet.

    Args:
        place: a folder, or an address that fsspec understands: s3://, gs://, memory://, file:// and others.
        mirror: for an address, the folder that keeps shards on this machine; by default that of the environment
            variable EXPCLIP_CACHE_MIRROR, else one in the user's cache folder.
    """
    if isinstance(place, Path) or (isinstance(place, str) and "://" not in place):
        return Folder(Path(place))
    if isinstance(place, str):
        from expclip_cache.cache.stores.remote import Remote

        return Remote(place, mirror)
    return place


class Folder:
    """A cache in a folder of this machine, or of a file system that it has mounted."""

    def __init__(self, folder: Path):
        self.folder = folder

    def __str__(self) -> str:
        return str(self.folder)

    def path(self, name: str) -> str:
        """See `Store`."""
        return str(self.folder / name)

    def size(self, name: str) -> int | None:
        """See `Store`. What is no plain file has 0 bytes."""
        try:
            status = (self.folder / name).stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise CacheError(f"{self.folder / name}: cannot be read ({error.strerror}).") from None
        return status.st_size if stat.S_ISREG(status.st_mode) else 0

    def sizes(self) -> dict[str, int]:
        """See `Store`. What is no plain file has 0 bytes."""
        try:
            with os.scandir(self.folder) as found:
                return {entry.name: _size(entry) for entry in found if not entry.name.startswith(".")}
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except OSError as error:
            raise CacheError(f"{self.folder}: cannot be read ({error.strerror}).") from None

    def read(self, name: str, start: int = 0, end: int | None = None) -> bytes:
        """See `Store`."""
        path = self.folder / name
        try:
            # Without O_NONBLOCK a FIFO in place of a file would block for ever.
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
            with os.fdopen(descriptor, "rb") as file:
                if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                    raise CacheError(f"{path}: is not a plain file.")
                file.seek(start)
                return file.read() if end is None else file.read(end - start)
        except FileNotFoundError:
            raise CacheError(f"{path}: is missing.") from None
        except OSError as error:
            raise CacheError(f"{path}: cannot be read ({error.strerror}).") from None

    def shard(self, record: Json, known: Seal | None = None, into: np.ndarray | None = None) -> Shard:
        """See `Store`."""
        path = self.folder / record["name"]
        if not path.is_file():
            raise CacheError(f"{path}: the shard is missing. {AGAIN}")
        try:
            return open_shard(path, known, into)
        except CacheError as error:
            raise CacheError(f"{error} {AGAIN}") from None

    @contextmanager
    def opened(self, name: str) -> Iterator[Shard]:
        """See `Store`."""
        yield open_shard(self.folder / name)

    def skim(self, name: str) -> Skimmed:
        """See `Store`."""
        path = self.folder / name
        try:
            total = path.stat().st_size
        except OSError as error:
            raise CacheError(f"{path}: cannot be read ({error.strerror}).") from None
        return skim(str(path), lambda start, end: self.read(name, start, end), total)

    def proved(self, name: str) -> ShardEntry:
        """See `Store`."""
        shard = open_shard(self.folder / name)
        shard.check_rows()
        return shard.entry()

    def waiting(self) -> frozenset[str]:
        """See `Store`."""
        return frozenset()

    def put(self, name: str) -> None:
        """See `Store`. A file that is written whole into the folder is in the cache."""

    def remove(self, name: str) -> None:
        """See `Store`."""
        (self.folder / name).unlink(missing_ok=True)

    def remove_temporaries(self, names: Collection[str] | None) -> None:
        """See `Store`."""
        remove_temporaries(self.folder, names)

    def leased(self, shards: range | None) -> AbstractContextManager[None]:
        """See `Store`. The kernel's lock on the folder says it already."""
        return nullcontext()

    def each(self, work: Callable[[A], B], items: Iterable[A]) -> Iterator[B]:
        """See `Store`."""
        return map(work, items)


def _size(entry: os.DirEntry) -> int:
    """Bytes of a plain file or of what a link leads to."""
    try:
        status = entry.stat()
    except OSError:
        return 0
    return status.st_size if stat.S_ISREG(status.st_mode) else 0
