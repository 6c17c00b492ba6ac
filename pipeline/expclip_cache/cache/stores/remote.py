"""A cache at an address: an object store, or any other file system that fsspec reaches.

Nothing under a final name is ever partial. Where a PUT is atomic (see `ATOMIC_PUT`) a file is put under its name;
elsewhere it is put under a temporary name, checked, and moved. Reading mirrors shards in a folder of this machine; each
is verified by its checksum before it gets its name there.
"""

import base64
import contextlib
import hashlib
import os
import re
import secrets
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast

import numpy as np
from typing_extensions import override

from expclip_cache.base import (
    CONCURRENT,
    MIRROR_VARIABLE,
    CacheError,
    FailedCallError,
    atomic_file,
    file_system_at,
    final_name,
    mirror_root,
    remove_temporaries,
    tried,
)
from expclip_cache.cache.format import CONDITIONING, INDEX, MANIFEST, OLD_MANIFEST, Json
from expclip_cache.cache.header import SEALED_FROM, sealed_digest
from expclip_cache.cache.shard import Shard, ShardEntry, open_shard
from expclip_cache.cache.skim import Skimmed, skim
from expclip_cache.cache.stores.lease import LEASES, lease
from expclip_cache.cache.stores.store import Store

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

A = TypeVar("A")
B = TypeVar("B")

ATOMIC_PUT = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "oci", "oss"})
"""Protocols of object stores, in which an object appears complete when its PUT, or the last step of it, ends."""

PROBE = 1 << 16
"""Bytes read back from either end of a file whose checksum the store does not state."""

T = TypeVar("T")


class Remote(Store):
    """A cache at an address."""

    def __init__(self, address: str, mirror: Path | None = None):
        """Nothing is opened yet.

        Args:
            mirror: folder for what is kept on this machine; by default `mirror_root()`.
        """
        self.address = address.rstrip("/")
        last = re.sub(r"[^A-Za-z0-9_-]", "-", self.address.rpartition("/")[2])
        self._given = mirror
        self._home = (mirror or mirror_root()) / f"{last}-{hashlib.sha256(self.address.encode()).hexdigest()[:16]}"

    def __reduce__(self):
        # Another machine has its own folder for the mirror.
        return Remote, (self.address, self._given)

    @property
    @override
    def folder(self) -> Path:
        """Where files are written before they are put; created if missing."""
        return _created(self._home / "unsent")

    @property
    def mirror(self) -> Path:
        """Where shards that were read are kept; created if missing."""
        return _created(self._home / "mirror")

    def __str__(self) -> str:
        return self.address

    @override
    def path(self, name: str) -> str:
        return f"{self.address}/{name}"

    @override
    def size(self, name: str) -> int | None:
        try:
            return self._info(name)["size"]
        except _MissingError:
            return None

    @override
    def sizes(self) -> dict[str, int]:
        return {
            name: size
            for name, size in self._listing("").items()
            if name in (INDEX, MANIFEST, OLD_MANIFEST, CONDITIONING) or name.startswith("shard-")
        }

    @override
    def read(self, name: str, start: int = 0, end: int | None = None) -> bytes:
        """Short answers are requested again."""

        def work() -> bytes:
            filesystem, path = self._open(name)
            stop = self._info(name)["size"] if end is None else end
            # Text only in a mode that is not used here.
            found = cast(bytes, filesystem.cat_file(path, start=start, end=stop))
            if len(found) != stop - start:
                raise _IncompleteError(f"{len(found)} of {stop - start} bytes arrived")
            return found

        return self._tried(name, "read", work)

    @override
    def local_file(self, name: str, head: int, *, fresh: bool = False) -> Path:
        path, size = self.mirror / name, self._info(name)["size"]
        start = self.read(name, 0, min(head, size))
        if not fresh and path.is_file() and path.stat().st_size == size:
            with path.open("rb") as file:
                if file.read(len(start)) == start:
                    return path
        with atomic_file(path) as temporary:
            self._copy(name, temporary, size)
        return path

    @override
    def shard(self, record: Json, into: np.ndarray | None = None) -> Shard:
        """The mirror's copy is used if it is the recorded one; otherwise the shard is fetched."""
        name, path = record["name"], self.mirror / record["name"]
        if _stated_digest(path) == record["xxh3_128"]:
            with contextlib.suppress(CacheError):
                return open_shard(path, into, once=True)
        with atomic_file(path) as temporary:
            found = self._fetch(name, temporary)
            if found.digest != record["xxh3_128"]:
                raise CacheError(
                    f"{self.path(name)}: is intact, but not the shard that {self.path(INDEX)} recorded. "
                    "Delete the index and run the extraction again: it checks every shard."
                )
        return open_shard(path, into, once=True)

    @override
    @contextmanager
    def opened(self, name: str) -> Iterator[Shard]:
        """The copy is deleted after the block."""
        temporary = self.mirror / f".{name}.{os.getpid()}.{secrets.token_hex(4)}.tmp"
        try:
            yield self._fetch(name, temporary)
        finally:
            temporary.unlink(missing_ok=True)

    @override
    def skim(self, name: str) -> Skimmed:
        return skim(self.path(name), lambda start, end: self.read(name, start, end), self._info(name)["size"])

    @override
    def proved(self, name: str) -> ShardEntry:
        return self.skim(name).entry()

    @override
    def waiting(self) -> frozenset[str]:
        return frozenset(path.name for path in self.folder.glob("shard-*.h5"))

    @override
    def put(self, name: str) -> None:
        """Checked by the MD5 that the store states, by every byte if it states another, or by both ends."""
        local = self.folder / name
        filesystem, path = self._open(name)
        folder, _, last = path.rpartition("/")
        target = path
        if not _has_atomic_put(filesystem):
            self._tried(name, "written", lambda: filesystem.makedirs(folder, exist_ok=True))
            target = f"{folder}/.{last}.{os.getpid()}.{secrets.token_hex(4)}.tmp"

        def move() -> None:
            # An attempt that failed may have moved it; the next check tells.
            with contextlib.suppress(FileNotFoundError):
                filesystem.mv(target, path)

        def work() -> None:
            self._tried(name, "written", lambda: filesystem.put_file(str(local), target))
            self._compare(name, target, local)
            if target != path:
                self._tried(name, "written", move)
                self._compare(name, path, local)

        self._tried(name, "written", work)
        local.unlink(missing_ok=True)

    @override
    def remove(self, name: str) -> None:
        """A copy that is not yet put is deleted too."""

        def work() -> None:
            filesystem, path = self._open(name)
            with contextlib.suppress(FileNotFoundError):
                filesystem.rm_file(path)
            filesystem.invalidate_cache()

        (self.folder / name).unlink(missing_ok=True)
        self._tried(name, "removed", work)

    @override
    def remove_temporaries(self, names: Collection[str] | None) -> None:
        remove_temporaries(self.folder, names)
        for name in self._listing(""):
            if name.startswith(".") and name.endswith(".tmp") and (names is None or final_name(name) in names):
                self.remove(name)

    @override
    def leased(self, shards: range | None) -> AbstractContextManager[Callable[[], None]]:
        return lease(self, shards)

    def leases(self) -> list[str]:
        """Names of the leases that exist now."""
        return sorted(name for name in self._listing(LEASES) if not name.startswith("."))

    @override
    def each(self, work: Callable[[A], B], items: Iterable[A]) -> Iterator[B]:
        with ThreadPoolExecutor(CONCURRENT, "store") as pool:
            yield from pool.map(work, items)

    def _open(self, name: str) -> tuple["AbstractFileSystem", str]:
        """The file system, and the path of a file in it."""
        filesystem, root = file_system_at(self.address, CacheError)
        return filesystem, f"{root}/{name}".rstrip("/")

    def _info(self, name: str) -> dict[str, Json]:
        def work() -> dict[str, Json]:
            filesystem, path = self._open(name)
            # A cached listing may be older than another machine's put.
            filesystem.invalidate_cache(path.rpartition("/")[0])
            return filesystem.info(path)

        return self._tried(name, "read", work)

    def _listing(self, below: str) -> dict[str, int]:
        """Bytes of each file in a folder of the store."""

        def work() -> dict[str, int]:
            filesystem, path = self._open(below)
            filesystem.invalidate_cache(path)
            try:
                found = filesystem.ls(path, detail=True)
            except FileNotFoundError:
                return {}
            return {item["name"].rpartition("/")[2]: item["size"] for item in found if item["type"] == "file"}

        return self._tried(below, "listed", work)

    def _copy(self, name: str, local: Path, size: int) -> None:
        """Copy a file to this machine."""

        def work() -> None:
            filesystem, path = self._open(name)
            filesystem.get_file(path, str(local))
            if local.stat().st_size != size:
                raise _IncompleteError(f"{local.stat().st_size} of {size} bytes arrived")

        self._tried(name, "read", work)

    def _fetch(self, name: str, temporary: Path) -> Shard:
        """Copy a shard to a temporary name of this machine, and open it there."""
        size = self._info(name)["size"]
        for attempt in (1, 2):
            self._copy(name, temporary, size)
            try:
                return open_shard(temporary)
            except CacheError as error:
                # Bytes may change in transit; bytes that are wrong twice are wrong in the store.
                if attempt == 2:
                    raise CacheError(f"{self.path(name)}: {str(error).removeprefix(f'{temporary}: ')}") from None
        raise AssertionError

    def _compare(self, name: str, path: str, local: Path) -> None:
        """Check that a file arrived.

        Raises:
            _IncompleteError: it is missing, or not what was put.
        """

        def info() -> dict[str, Json]:
            filesystem.invalidate_cache(path.rpartition("/")[0])
            try:
                return filesystem.info(path)
            except FileNotFoundError:
                raise _IncompleteError("is missing after it was written") from None

        filesystem, _ = self._open(name)
        found, size = self._tried(name, "read", info), local.stat().st_size
        if found["size"] != size:
            raise _IncompleteError(f"{found['size']} of {size} bytes arrived")
        stated = _stated_md5(found)
        with local.open("rb") as file:
            if stated and stated == hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest():
                return
            # Another one need not be a difference: with some kinds of encryption, S3's ETag only looks like an MD5.
            length = size if stated else min(PROBE, size)
            for start in {0, size - length}:
                file.seek(start)
                read = partial(filesystem.cat_file, path, start, start + length)
                if self._tried(name, "read", read) != file.read(length):
                    raise _IncompleteError("the bytes that arrived are not those that were written")

    def _tried(self, name: str, done: str, work: Callable[[], T]) -> T:
        """The result of `work`, retried while it fails.

        Args:
            done: what cannot be done if it fails, as a participle.

        Raises:
            CacheError: it failed permanently, or too often.
        """
        try:
            return tried(work, (CacheError, FileNotFoundError))
        except FileNotFoundError as error:
            if done == "read":
                raise _MissingError(f"{self.path(name)}: is missing.") from None
            raise CacheError(
                f"{self.path(name)}: cannot be {done}, because the place does not exist ({error})."
            ) from None
        except FailedCallError as failed:
            raise CacheError(
                f"{self.path(name)}: cannot be {done} {failed}. "
                "Check the store and run the same command again: what was finished is kept."
            ) from None


class _IncompleteError(Exception):
    """Fewer or other bytes arrived than were requested."""


class _MissingError(CacheError):
    """The file does not exist."""


def _created(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CacheError(
            f"{folder}: cannot be created ({error.strerror}). Name another folder for copies of remote caches in the "
            f"environment variable {MIRROR_VARIABLE}."
        ) from None
    return folder


def _stated_digest(path: Path) -> str | None:
    """The checksum that a mirrored shard states; None if the file does not exist."""
    try:
        with path.open("rb") as file:
            return sealed_digest(file.read(SEALED_FROM))
    except OSError:
        return None


def _has_atomic_put(filesystem) -> bool:
    protocol = filesystem.protocol
    return not ATOMIC_PUT.isdisjoint([protocol] if isinstance(protocol, str) else protocol)


def _stated_md5(info: dict[str, Json]) -> str | None:
    """The MD5 that a store states for an object, hex; None if it states none.

    An ETag of S3 is an MD5 for a plain PUT, and does not look like one otherwise.
    """
    if "md5Hash" in info:
        return base64.b64decode(info["md5Hash"]).hex()
    etag = str(info.get("ETag", "")).strip('"')
    return etag if re.fullmatch(r"[0-9a-f]{32}", etag) else None
