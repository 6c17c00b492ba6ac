"""A dataset's root at an address such as s3://bucket/faces, and files below it. Nothing there is ever written.

Files are read by ranges of bytes, with one request each, and never copied to this machine as a whole. An answer that
is shorter than what was asked for is compared with the size that the store states.
"""

import errno
import io
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, BinaryIO, TypeVar, cast

from typing_extensions import Buffer

from expclip_cache.base import (
    AddressAccessError,
    DataError,
    FailedCallError,
    SettingsError,
    file_system_at,
    is_address,
    tried,
)

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

T = TypeVar("T")

READ_AHEAD = 8 << 20
"""Bytes that are read at once of a file that is read from its beginning."""

SECRET = re.compile(r"://[^/]*:[^/]*@|^(https?)://[^?]*\?")
"""A password in an address, or what a signed one has behind its path."""

LOOK_AGAIN = 30.0
"""Seconds for which what a store said of a file is believed. Who reads a member asks whether its tar has changed."""

MISSING = (FileNotFoundError, IsADirectoryError)

VERSION = ("ETag", "etag", "md5Hash", "content_md5", "generation", "LastModified", "last_modified", "mtime", "created")
"""What file systems say of a file that changes with its content."""


@dataclass(frozen=True)
class AddressStatus:
    """What a store says of a file.

    Attributes:
        st_size: in bytes.
        version: changes with the content; empty if the store says nothing of the kind.
    """

    st_size: int
    version: str
    is_folder: bool


@dataclass(frozen=True)
class Address:
    """A file or folder at an address, used as a `Path` is.

    Every method that asks the store raises AddressAccessError if it cannot be reached or refuses, and
    FileNotFoundError if nothing is there.

    Attributes:
        root: the address of the dataset.
        below: path relative to it; empty for the root itself.
    """

    root: str
    below: str = ""

    def __truediv__(self, path: str) -> "Address":
        return Address(self.root, f"{self.below}/{path}" if self.below else path)

    def __str__(self) -> str:
        return f"{self.root}/{self.below}" if self.below else self.root

    @property
    def name(self) -> str:
        """The last part."""
        return str(self).rpartition("/")[2]

    @property
    def suffix(self) -> str:
        """The suffix of the name, with its dot."""
        return PurePosixPath(self.name).suffix

    @property
    def stem(self) -> str:
        """The name without its suffix."""
        return PurePosixPath(self.name).stem

    def with_suffix(self, suffix: str) -> "Address":
        """The file beside it that has another suffix."""
        return Address(self.root, str(PurePosixPath(self.below).with_suffix(suffix)))

    def read(self, start: int, end: int) -> bytes:
        """The bytes from `start` to `end`; one request, and where the file ends before, another for its size."""

        def work() -> bytes:
            filesystem, path = self._place
            try:
                found = filesystem.cat_file(path, start=start, end=end)
            except MISSING:
                raise
            except Exception:
                # Stores refuse a range that begins at the end of a file, as in an empty one.
                if start < _size_now(filesystem, path):
                    raise
                return b""
            assert isinstance(found, bytes)
            if len(found) < end - start and start + len(found) < (size := _size_now(filesystem, path)):
                raise OSError(f"of {min(end, size) - start} bytes, {len(found)} came")
            return found

        content = self._asked(work)
        # A server that ignores ranges sends the file from its beginning.
        if len(content) > end - start or (start and content and len(content) > self.stat().st_size - start):
            raise AddressAccessError(
                f"{self}: the server sends whole files where parts are asked for. It cannot be used."
            )
        return content

    def blocks(self) -> Iterator[bytes]:
        """The whole content, `READ_AHEAD` bytes at a time; for most images one request, and one for their size."""
        start, block = 0, b"first"
        while block and start % READ_AHEAD == 0:
            block = self.read(start, start + READ_AHEAD)
            start += len(block)
            yield block

    def open(self, mode: str = "rb", buffering: int = -1) -> BinaryIO:
        """The file, to be read in blocks of `READ_AHEAD`, or without buffering exactly as requested."""
        assert mode == "rb"
        raw = _Ranges(self)
        return raw if buffering == 0 else io.BufferedReader(raw, READ_AHEAD)  # pyright: ignore[reportReturnType]

    def stat(self) -> AddressStatus:
        """What the store says of it, or said less than `LOOK_AGAIN` ago and after the last listing."""
        known = _statuses.get(self)
        if known is None or known[0] < time.monotonic() - LOOK_AGAIN:
            known = _statuses[self] = (time.monotonic(), self._stat())
        return known[1]

    def _stat(self) -> AddressStatus:
        def work() -> AddressStatus:
            filesystem, path = self._place
            filesystem.invalidate_cache(path.rpartition("/")[0])
            found = filesystem.info(path)
            said = [f"{key} {found[key]}" for key in VERSION if found.get(key)]
            return AddressStatus(found.get("size") or 0, ", ".join(said), found["type"] == "directory")

        return self._asked(work)

    def exists(self) -> bool:
        """Whether something is there."""
        try:
            self.stat()
        except FileNotFoundError:
            return False
        return True

    def is_dir(self) -> bool:
        """Whether files are below it."""
        try:
            return self.stat().is_folder
        except FileNotFoundError:
            return False

    def is_file(self) -> bool:
        """Whether it is a file."""
        try:
            return not self.stat().is_folder
        except FileNotFoundError:
            return False

    def files(self) -> list[str]:
        """Paths of all files below, relative to it, in no order: one listing, whatever the number of folders."""
        _statuses.clear()

        def work() -> list[str]:
            filesystem, path = self._place
            filesystem.invalidate_cache()
            found = cast(dict[str, dict], filesystem.find(path, detail=True))
            # A listing of millions is no use to anybody else.
            filesystem.invalidate_cache()
            prefix = f"{path}/"
            files = [name for name, info in found.items() if info["type"] == "file" and name.startswith(prefix)]
            # An object that stands for an empty folder ends with a slash.
            return [name[len(prefix) :] for name in files if not name.endswith("/")]

        return self._asked(work)

    @property
    def _place(self):
        """The file system, and the path in it."""
        filesystem, root = file_system_at(self.root, SettingsError)
        return filesystem, f"{root}/{self.below}" if self.below else root

    def _asked(self, work: Callable[[], T]) -> T:
        try:
            return tried(work, (DataError, SettingsError, *MISSING))
        except MISSING:
            # As it stands, some packages' errors have no number.
            raise FileNotFoundError(errno.ENOENT, f"{self} does not exist") from None
        except FailedCallError as failed:
            raise AddressAccessError(
                f"{self}: cannot be read now {failed}. That says nothing about the images: check the network, the "
                "store and your credentials for it, then run the same command again. Finished work is kept."
            ) from None


_statuses: dict[Address, tuple[float, AddressStatus]] = {}
"""What stores said, and when."""

Root = Path | Address
"""Where a dataset's files are."""


def root_at(place: str | Path | Address) -> Root:
    """The root at a path or an address. Nothing is opened yet.

    Args:
        place: a folder, or an address that fsspec understands: s3://, gs://, https://, memory:// and others.

    Raises:
        SettingsError: the address has a password or a signature in it.
    """
    if not isinstance(place, str) or not is_address(place):
        return Path(place) if isinstance(place, str) else place
    if not place.partition("://")[2].strip("/"):
        raise SettingsError(f"{place}: expected an address such as s3://bucket/faces, found nothing behind ://.")
    if SECRET.search(place):
        shown = re.sub("://[^/]*@", "://***@", place).partition("?")[0]
        raise SettingsError(
            f"{shown}: has a password or a signature in it, which would be written into "
            "settings and results. Remove it, and give credentials as the store's package documents: in environment "
            "variables, its own files or the configuration of fsspec."
        )
    return Address(place.rstrip("/"))


def _size_now(filesystem: "AbstractFileSystem", path: str) -> int:
    """The size of a file in bytes, asked for again; 0 where a server does not say it."""
    filesystem.invalidate_cache(path.rpartition("/")[0])
    return filesystem.info(path)["size"] or 0


class _Ranges(io.RawIOBase):
    """A file at an address; every read is one request, of the bytes that are asked for and not beyond its end."""

    def __init__(self, address: Address):
        super().__init__()
        self._address, self._at = address, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at}
        self._at = offset + (start[whence] if whence in start else self._address.stat().st_size)
        return self._at

    def readinto(self, buffer: Buffer) -> int:
        view = memoryview(buffer).cast("B")
        end = min(self._at + len(view), self._address.stat().st_size)
        found = self._address.read(self._at, end) if self._at < end else b""
        view[: len(found)] = found
        self._at += len(found)
        return len(found)
