"""Files inside tar shards and Parquet files, which have a path as if their container were a folder.

`train/00003.tar/000012.jpg` is a member of the tar shard `train/00003.tar`; `train.parquet/image/0012` is in the column
`image` of row 12 of `train.parquet`. Nothing is unpacked: a member is read by its offset.
"""

import errno
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from threading import Lock

from expclip_cache.base import CONCURRENT, AddressAccessError, DataError, thread_map
from expclip_cache.datasets.address import Address, AddressStatus, Root
from expclip_cache.datasets.kept_tar_index import kept_tar_index
from expclip_cache.datasets.parquet_images import ParquetImages
from expclip_cache.datasets.tar_index import TarIndex

TAR, PARQUET = ".tar", ".parquet"

OPENED = 4
"""Containers whose index a process remembers. Rows are read in the order of paths, and a Parquet file keeps images."""

Container = TarIndex | ParquetImages

_opening: dict[Root, Lock] = defaultdict(Lock)


def places(name: str) -> Iterator[tuple[str, str]]:
    """The containers that a path may lead into, and the rest of the path; none for a file of its own.

    A folder may be called like a container: `contained_file` says which it is.

    >>> list(places("train.parquet/00003.tar/a/000012.jpg"))
    [('train.parquet', '00003.tar/a/000012.jpg'), ('train.parquet/00003.tar', 'a/000012.jpg')]
    >>> list(places("train/000012.jpg"))
    []
    """
    for end in re.finditer(r"(\.tar|\.parquet)/", name):
        yield name[: end.end() - 1], name[end.end() :]


def contained_file(root: Root, name: str, most: int | None = None) -> bytes | None:
    """The bytes of a file that is inside a container; None if the path does not lead into one.

    Args:
        root: folder of the dataset.
        name: path relative to it.
        most: bytes; of a larger file one byte more than that is read.

    Raises:
        OSError: the container cannot be read, is not a tar or Parquet file (any more) or has no such file; its
            `strerror` says why.
        AddressAccessError: the store cannot be reached, or refuses.
    """
    if (place := _place(root, name)) is None:
        return None
    container, rest = place
    with _missing_if_unusable():
        return open_container(container).read(rest, most)


def contained_blocks(root: Root, name: str) -> Iterator[bytes] | None:
    """The bytes of a file that is inside a container, in blocks: a large one in a tar is not kept in memory as a whole.

    Args, and what is raised, by the blocks: see `contained_file`.
    """
    place = _place(root, name)
    return None if place is None else _blocks(*place)


def _blocks(path: Root, name: str) -> Iterator[bytes]:
    with _missing_if_unusable():
        container = open_container(path)
        if isinstance(container, TarIndex):
            yield from container.blocks(name)
        else:
            yield container.read(name)


def _place(root: Root, name: str) -> tuple[Root, str] | None:
    """The container that a path leads into, and the rest of the path."""
    found = ((root / container, rest) for container, rest in places(name))
    return next((place for place in found if not place[0].is_dir()), None)


@contextmanager
def _missing_if_unusable() -> Iterator[None]:
    """A file in what is not a container is a file that does not exist."""
    try:
        yield
    except AddressAccessError:
        raise
    except DataError as error:
        raise FileNotFoundError(errno.ENOENT, str(error)) from None


def open_containers(root: Root, places: Sequence[str]) -> Iterator[Container]:
    """The containers at some paths below a root, in their order; at an address several are read at once.

    Raises:
        DataError: one cannot be read, or is not a tar or Parquet file.
        AddressAccessError: the store cannot be reached, or refuses.
    """

    def opened(place: str) -> Container:
        try:
            return open_container(root / place)
        except OSError as error:
            raise DataError(
                f"{root / place}: cannot be read ({error.strerror}). Check it, or choose others: samples.files."
            ) from None

    return thread_map(opened, places, CONCURRENT if isinstance(root, Address) else 1)


def open_container(path: Root) -> Container:
    """A container with its index, which is read once in each process and again if the file has changed.

    Raises:
        OSError: the file cannot be read.
        DataError: it is not a tar or Parquet file.
        AddressAccessError: the store cannot be reached, or refuses.
    """
    status = path.stat()
    version = status.version if isinstance(status, AddressStatus) else status.st_mtime_ns
    with _opening[path]:  # threads that need the same one would all read its index
        return _opened(path, version, status.st_size)


@lru_cache(maxsize=OPENED)
def _opened(path: Root, version: str | int, size: int) -> Container:
    if path.suffix == PARQUET:
        return ParquetImages(path)
    return kept_tar_index(path, f"{version} {size}") if isinstance(path, Address) else TarIndex(path)
