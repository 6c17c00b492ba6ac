"""Files inside tar shards and Parquet files, which have a path as if their container were a folder.

`train/00003.tar/000012.jpg` is a member of the tar shard `train/00003.tar`; `train.parquet/image/0012` is in the column
`image` of row 12 of `train.parquet`. Nothing is unpacked: a member is read by its offset.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import lru_cache
from threading import Lock

from expclip_cache.base import CONCURRENT, thread_map
from expclip_cache.datasets.address import Address, AddressStatus, Root
from expclip_cache.datasets.kept_tar_index import kept_tar_index
from expclip_cache.datasets.parquet_images import ParquetImages
from expclip_cache.datasets.tar_index import TarIndex

TAR, PARQUET = ".tar", ".parquet"

OPENED = 64
"""Containers whose index a process remembers."""

Container = TarIndex | ParquetImages

_opening: dict[Root, Lock] = defaultdict(Lock)


def container_of(name: str) -> tuple[str, str] | None:
    """The container that a path leads into, and the rest of the path; None for a file of its own.

    A folder may be called like a container: `contained_file` says which it is.

    >>> container_of("train/00003.tar/a/000012.jpg")
    ('train/00003.tar', 'a/000012.jpg')
    >>> container_of("train/000012.jpg")
    """
    for suffix in (TAR, PARQUET):
        before, found, rest = name.partition(f"{suffix}/")
        if found:
            return before + suffix, rest
    return None


def contained_file(root: Root, name: str, most: int | None = None) -> bytes | None:
    """The bytes of a file that is inside a container; None if the path does not lead into one.

    Args:
        root: folder of the dataset.
        name: path relative to it.
        most: bytes; of a larger file one byte more than that is read.

    Raises:
        OSError: the container cannot be read or has no such file; its `strerror` says why.
        AddressAccessError: the store cannot be reached, or refuses.
        DataError: it is not a tar or Parquet file.
    """
    place = container_of(name)
    if place is None or (root / place[0]).is_dir():
        return None
    return open_container(root / place[0]).read(place[1], most)


def open_containers(root: Root, places: Sequence[str]) -> Iterator[Container]:
    """The containers at some paths below a root, in their order; at an address several are read at once."""
    threads = CONCURRENT if isinstance(root, Address) else 1
    return thread_map(lambda place: open_container(root / place), places, threads)


def open_container(path: Root) -> Container:
    """A container with its index, which is read once in each process and again if the file has changed.

    Raises:
        OSError: the file cannot be read.
        DataError: it is not a tar or Parquet file.
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
