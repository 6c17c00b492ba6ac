"""A cache in a folder of this machine, or of a file system that it has mounted."""

import os
import stat
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TypeVar

import numpy as np
from typing_extensions import override

from expclip_cache.base import CacheError, UntouchableCacheError, remove_temporaries
from expclip_cache.cache.format import Json, unreadable
from expclip_cache.cache.shard import Shard, ShardEntry, open_shard
from expclip_cache.cache.skim import Skimmed, skim
from expclip_cache.cache.stores.store import Store

A = TypeVar("A")
B = TypeVar("B")

REPAIR = "Run `expclip-cache verify --repair` on the cache and the extraction again: it makes only this shard."


class Folder(Store):
    """A cache in a folder."""

    def __init__(self, folder: Path):
        self._folder = folder

    def __str__(self) -> str:
        return str(self._folder)

    @property
    @override
    def folder(self) -> Path:
        return self._folder

    @override
    def path(self, name: str) -> str:
        return str(self._folder / name)

    @override
    def size(self, name: str) -> int | None:
        try:
            status = (self._folder / name).stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise CacheError(f"{self._folder / name}: cannot be read ({error.strerror}).") from None
        return _regular_size(status)

    @override
    def sizes(self) -> dict[str, int]:
        try:
            with os.scandir(self._folder) as found:
                return {entry.name: _entry_size(entry) for entry in found if not entry.name.startswith(".")}
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except OSError as error:
            raise CacheError(f"{self._folder}: cannot be read ({error.strerror}).") from None

    @override
    def read(self, name: str, start: int = 0, end: int | None = None) -> bytes:
        path = self._folder / name
        try:
            # Without O_NONBLOCK a FIFO in place of a file would block for ever.
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
            with os.fdopen(descriptor, "rb") as file:
                if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                    raise CacheError(f"{path}: is not a regular file.")
                file.seek(start)
                return file.read() if end is None else file.read(end - start)
        except FileNotFoundError:
            raise CacheError(f"{path}: is missing.") from None
        except OSError as error:
            raise unreadable(path, error) from None

    @override
    def local_file(self, name: str, head: int, *, fresh: bool = False) -> Path:
        self.read(name, 0, 0)
        return self._folder / name

    @override
    def shard(self, record: Json, into: np.ndarray | None = None) -> Shard:
        path = self._folder / record["name"]
        try:
            return open_shard(path, into, once=True)
        except UntouchableCacheError:
            raise
        except CacheError as error:
            problem = error if path.is_file() else f"{path}: the shard is missing."
            raise CacheError(f"{problem} {REPAIR}") from None

    @override
    @contextmanager
    def opened(self, name: str) -> Iterator[Shard]:
        yield open_shard(self._folder / name)

    @override
    def skim(self, name: str) -> Skimmed:
        path = self._folder / name
        try:
            total = path.stat().st_size
        except OSError as error:
            raise CacheError(f"{path}: cannot be read ({error.strerror}).") from None
        return skim(str(path), lambda start, end: self.read(name, start, end), total)

    @override
    def proved(self, name: str) -> ShardEntry:
        shard = open_shard(self._folder / name)
        shard.check_rows()
        return shard.entry()

    @override
    def waiting(self) -> frozenset[str]:
        return frozenset()

    @override
    def put(self, name: str) -> None:
        """Nothing is left to do: a file that was written completely into the folder is in the cache."""

    @override
    def remove(self, name: str) -> None:
        (self._folder / name).unlink(missing_ok=True)

    @override
    def remove_temporaries(self, names: Collection[str] | None) -> None:
        remove_temporaries(self._folder, names)

    @override
    def leased(self, shards: range | None) -> AbstractContextManager[Callable[[], None]]:
        """The kernel's lock on the folder announces it already."""
        return nullcontext(lambda: None)

    @override
    def each(self, work: Callable[[A], B], items: Iterable[A]) -> Iterator[B]:
        return map(work, items)


def _entry_size(entry: os.DirEntry[str]) -> int:
    """Bytes of a regular file or of what a link leads to; 0 for anything else."""
    try:
        return _regular_size(entry.stat())
    except OSError:
        return 0


def _regular_size(status: os.stat_result) -> int:
    return status.st_size if stat.S_ISREG(status.st_mode) else 0
