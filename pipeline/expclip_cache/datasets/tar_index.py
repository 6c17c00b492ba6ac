"""Where the members of a tar shard are."""

import errno
import tarfile
from collections.abc import Collection, Iterator
from typing import Any, NamedTuple, Self

from expclip_cache.base import DataError
from expclip_cache.datasets.address import Root


class Member(NamedTuple):
    """One file in a tar.

    Attributes:
        offset: of its first byte in the tar.
        size: in bytes.
    """

    offset: int
    size: int


class TarIndex:
    """The members of an uncompressed tar.

    Attributes:
        path: of the tar.
        members: name -> place, in the order of the tar; of several members with one name the last, as tar unpacks them.
        repeated: names that several members have.
        truncated: whether the tar ends within a member, or without the end that tar writes.
    """

    def __init__(self, path: Root):
        """Read the headers of all members, and nothing else.

        Raises:
            OSError: the file cannot be read.
            DataError: it is not a tar, or it is compressed.
        """
        self.path = path
        self.members: dict[str, Member] = {}
        self.repeated: list[str] = []
        self.truncated = False
        size = path.stat().st_size
        try:
            with path.open("rb") as file, tarfile.open(fileobj=file, mode="r:") as tar:
                self._read(tar)
                self.truncated |= tar.offset > size
        except tarfile.ReadError as error:
            raise DataError(
                f"{path}: is not an uncompressed tar ({error}). A compressed one cannot be read from the middle: "
                "unpack it to a .tar first."
            ) from None

    def described(self) -> dict[str, Any]:
        """All that was read, as JSON has it."""
        return {"members": self.members, "repeated": self.repeated, "truncated": self.truncated}

    @classmethod
    def of(cls, path: Root, described: dict[str, Any]) -> Self:
        """The index of a tar that was read before."""
        index = cls.__new__(cls)
        index.path, index.repeated, index.truncated = path, described["repeated"], described["truncated"]
        index.members = {name: Member(*place) for name, place in described["members"].items()}
        return index

    def _read(self, tar: tarfile.TarFile) -> None:
        try:
            while (found := tar.next()) is not None:
                if found.isreg():
                    if found.name in self.members:
                        self.repeated.append(found.name)
                    self.members[found.name] = Member(found.offset_data, found.size)
        except tarfile.ReadError:
            if not self.members:
                raise
            self.truncated = True

    def contents(self, names: Collection[str]) -> Iterator[tuple[str, bytes]]:
        """Name and bytes of some members, in the order of the tar, which is opened once.

        Raises:
            OSError: see `read`.
        """
        with self.path.open("rb") as file:
            for name, (offset, size) in self.members.items():
                if name in names:
                    file.seek(offset)
                    yield name, self._complete(name, file.read(size), size)

    def read(self, name: str, most: int | None = None) -> bytes:
        """The bytes of a member.

        Args:
            most: of a larger member one byte more than that is read.

        Raises:
            OSError: there is no such member, or the tar cannot be read or ends within it.
        """
        if name not in self.members:
            raise FileNotFoundError(errno.ENOENT, f"does not exist in {self.path}")
        offset, size = self.members[name]
        wanted = size if most is None else min(size, most + 1)
        with self.path.open("rb", buffering=0) as file:
            file.seek(offset)
            return self._complete(name, file.read(wanted), wanted)

    def _complete(self, name: str, content: bytes, wanted: int) -> bytes:
        """The content, if the tar does not end within it."""
        if len(content) < wanted:
            size = self.members[name].size
            raise FileNotFoundError(
                errno.ENOENT, f"{self.path} ends within it: of its {size} bytes {len(content)} are there"
            )
        return content
