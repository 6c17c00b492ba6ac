"""Where the members of a tar shard are."""

import errno
import posixpath
from array import array
from collections.abc import Collection, Iterator
from contextlib import suppress
from typing import Any, BinaryIO, Self

from expclip_cache.base import DataError
from expclip_cache.datasets.address import READ_AHEAD, Root
from expclip_cache.datasets.tar_headers import (
    BLOCK,
    FILES,
    HARD_LINK,
    SPARSE,
    SYMBOLIC_LINK,
    DamagedTarError,
    Header,
    read_headers,
)


class CutOffError(FileNotFoundError):
    """The tar ends within a member."""


class TarIndex:
    """The members of an uncompressed tar: some 150 bytes of memory for each.

    Names have no `./` in front. A link has the content of the file in the same tar that it leads to.

    Attributes:
        path: of the tar.
        repeated: names that several members have, of which the last one counts, as tar unpacks them.
        not_read: names of sparse files, and of links that lead to no file of the tar.
        damage: what is wrong with the tar, to follow its name: `is cut off after 12 files`; empty if nothing is.
    """

    def __init__(self, path: Root):
        """Read the headers of all members, and nothing else.

        Raises:
            OSError: the file cannot be read.
            DataError: it is not a tar, or it is compressed.
        """
        self._begin(path, path.stat().st_size)
        with path.open("rb", buffering=8 * BLOCK) as file:
            self._read(file)

    def _begin(self, path: Root, size: int) -> None:
        self.path, self._bytes = path, size
        self.repeated: list[str] = []
        self.not_read: list[str] = []
        self.damage = ""
        self._numbers: dict[str, int] = {}
        self._offsets, self._sizes = array("q"), array("q")

    def described(self) -> dict[str, Any]:
        """All that was read, as JSON has it."""
        members = [[name, self._offsets[number], self._sizes[number]] for name, number in self._numbers.items()]
        said = {"repeated": self.repeated, "not_read": self.not_read, "damage": self.damage}
        return {"bytes": self._bytes, "members": members, **said}

    @classmethod
    def of(cls, path: Root, described: dict[str, Any]) -> Self:
        """The index of a tar that was read before."""
        index = cls.__new__(cls)
        index._begin(path, described["bytes"])
        for member in described["members"]:
            index._add(*member)
        index.repeated, index.not_read = described["repeated"], described["not_read"]
        index.damage = described["damage"]
        return index

    @property
    def names(self) -> Collection[str]:
        """Of the members, in the order of the tar, links last."""
        return self._numbers.keys()

    def _read(self, file: BinaryIO) -> None:
        links: list[Header] = []
        try:
            for header in read_headers(file, self._bytes):
                name = header.name.removeprefix("./")
                if header.kind in FILES and not name.endswith("/"):
                    self._add(name, header.offset, header.size)
                elif header.kind in (HARD_LINK, SYMBOLIC_LINK):
                    links.append(header._replace(name=name))
                elif header.kind == SPARSE:
                    self.not_read.append(name)
        except DamagedTarError as error:
            if error.offset == 0:
                raise DataError(
                    f"{self.path}: is not an uncompressed tar, or its first header is damaged. A compressed one cannot "
                    "be read from the middle: unpack it to a .tar first."
                ) from None
            what = "is cut off" if error.offset is None else f"is damaged at byte {error.offset},"
            self.damage = f"{what} after {len(self._numbers)} files"
        for link in links:
            self._follow(link)

    def _add(self, name: str, offset: int, size: int) -> None:
        if name in self._numbers:
            self.repeated.append(name)
        self._numbers[name] = len(self._offsets)
        self._offsets.append(offset)
        self._sizes.append(size)

    def _follow(self, link: Header) -> None:
        """Give a link the content that it leads to."""
        folder = posixpath.dirname(link.name) if link.kind == SYMBOLIC_LINK else ""
        number = self._numbers.get(posixpath.normpath(posixpath.join(folder, link.target)))
        if number is None:
            self.not_read.append(link.name)
        else:
            self._add(link.name, self._offsets[number], self._sizes[number])

    def contents(self, names: Collection[str], most: int | None = None) -> Iterator[tuple[str, bytes]]:
        """Name and bytes of some members in the order of the tar, which is opened once; those cut off are left out.

        Args:
            most: see `read`.

        Raises:
            OSError: the tar cannot be read.
        """
        with self.path.open("rb") as file:
            for name in self._numbers:
                if name in names:
                    with suppress(CutOffError):
                        yield name, b"".join(self._blocks(file, name, most))

    def read(self, name: str, most: int | None = None) -> bytes:
        """The bytes of a member.

        Args:
            most: of a larger member one byte more than that is read.

        Raises:
            OSError: there is no such member, or the tar cannot be read or ends within it.
        """
        return b"".join(self.blocks(name, most))

    def blocks(self, name: str, most: int | None = None) -> Iterator[bytes]:
        """What `read` returns, `READ_AHEAD` bytes at a time."""
        if name not in self._numbers:
            damage = f", which {self.damage}" if self.damage else ""
            raise FileNotFoundError(errno.ENOENT, f"does not exist in {self.path}{damage}")
        with self.path.open("rb", buffering=0) as file:
            yield from self._blocks(file, name, most)

    def _blocks(self, file: BinaryIO, name: str, most: int | None) -> Iterator[bytes]:
        number = self._numbers[name]
        offset, size = self._offsets[number], self._sizes[number]
        left, there = size if most is None else min(size, most + 1), self._bytes - offset
        if there < size:
            raise CutOffError(errno.ENOENT, f"{self.path} ends within it: of its {size} bytes {there} are there")
        file.seek(offset)
        while left:
            block = file.read(min(left, READ_AHEAD))
            if not block:
                raise CutOffError(errno.ENOENT, f"{self.path} has been cut off within it")
            left -= len(block)
            yield block
