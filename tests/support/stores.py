"""Stores of caches for tests: what is visible in them, and file systems that fail on purpose."""

import math
import random
import threading
from pathlib import Path
from typing import ClassVar

import numpy as np
from fsspec import register_implementation
from fsspec.core import url_to_fs
from fsspec.implementations.memory import MemoryFileSystem
from s3fs import S3FileSystem

from expclip_cache.base import addresses
from expclip_cache.cache.format import INDEX, MANIFEST
from expclip_cache.cache.header import SEALED_FROM, digest_of, sealed_digest


def visible(address: str) -> dict[str, bytes]:
    """The content of every file with a final name; the names of all others, except leases, start with a dot."""
    filesystem, root = url_to_fs(address)
    filesystem.invalidate_cache()
    try:
        found = filesystem.ls(root, detail=True)
    except FileNotFoundError:
        return {}
    names = [item["name"].rpartition("/")[2] for item in found if item["type"] == "file"]
    final = [name for name in names if not name.startswith(".")]
    assert all(name in (INDEX, MANIFEST) or name.startswith("shard-") for name in final)
    return {name: filesystem.cat_file(f"{root}/{name}") for name in final}


def assert_complete(files: dict[str, bytes]) -> None:
    """Check every shard among the files against its checksum."""
    for name, raw in files.items():
        if name.startswith("shard-"):
            assert sealed_digest(raw[:SEALED_FROM]) == digest_of(raw[SEALED_FROM:]), f"{name} is partial"


class Failures:
    """Which calls fail, and how; shared by every instance of a file system.

    Attributes:
        rate: share of the calls that fail.
        gone_after: number of calls after which all fail.
        calls, failed: how many calls there were, and how many of them failed.
        look: called after each call, whether it failed or not.
    """

    def __init__(self):
        self.lock = threading.RLock()
        self.reset()

    def reset(self, rate: float = 0.0, seed: int = 0, gone_after: float = math.inf, look=lambda: None) -> None:
        self.rate, self.random, self.gone_after, self.look = rate, random.Random(seed), gone_after, look
        self.calls = self.failed = 0

    def next_failure(self) -> str | None:
        """How the next call fails; None if it does not."""
        self.calls += 1
        if self.calls > self.gone_after:
            return "raises before"
        if self.random.random() >= self.rate:
            return None
        self.failed += 1
        return self.random.choice(["raises before", "times out", "short", "raises after"])


FAILURES = Failures()


def raise_before(failure: str | None) -> None:
    if failure == "raises before":
        raise OSError(5, "Input/output error, on purpose")
    if failure == "times out":
        raise TimeoutError("on purpose")


def raise_after(failure: str | None) -> None:
    if failure == "raises after":
        raise ConnectionResetError(104, "Connection reset by peer, on purpose")


def failing(name: str):
    """A method that fails as `FAILURES` says: before it did anything, after it did everything, or in the middle."""

    def method(self, path, *args, **kwargs):
        with FAILURES.lock:
            try:
                failure = FAILURES.next_failure()
                raise_before(failure)
                result = getattr(super(Flaky, self), name)(path, *args, **kwargs)
                if failure == "short":
                    result = shorten(self, name, path, args, result)
                raise_after(failure)
                return result
            finally:
                FAILURES.look()

    return method


def shorten(filesystem: MemoryFileSystem, name: str, path: str, args: tuple, result):
    """Keep only a part of what was read or written; other calls are complete."""
    if name == "cat_file":
        return result[: len(result) // 2]
    if name == "put_file":
        stored = filesystem.store[filesystem._strip_protocol(args[0])]
        stored.truncate(len(stored.getvalue()) // 2)
    if name == "get_file":
        with Path(args[0]).open("r+b") as file:
            file.truncate(file.seek(0, 2) // 2)
    return result


class Flaky(MemoryFileSystem):
    """A memory file system that fails. Its writes may be short, so no file may be written under its final name."""

    protocol = "flaky"
    store: ClassVar[dict] = {}
    pseudo_dirs: ClassVar[list] = [""]

    @classmethod
    def _strip_protocol(cls, path):
        return super()._strip_protocol(str(path).replace("flaky://", "memory://"))

    cat_file, put_file, get_file = failing("cat_file"), failing("put_file"), failing("get_file")
    info, ls, mv = failing("info"), failing("ls"), failing("mv")
    makedirs, rm_file = failing("makedirs"), failing("rm_file")


class FlakyS3(S3FileSystem):
    """S3 that fails. As in S3, a PUT succeeds completely or not at all; one that succeeded may still raise an error."""

    protocol = ("s3", "s3a", "flakys3")

    async def _put_file(self, *args, **kwargs):
        return await self._failing(super()._put_file(*args, **kwargs))

    async def _cat_file(self, *args, **kwargs):
        return await self._failing(super()._cat_file(*args, **kwargs), lambda found: found[: len(found) // 2])

    async def _get_file(self, path, local, **kwargs):
        def cut(_):
            Path(local).write_bytes(Path(local).read_bytes()[:-1])

        return await self._failing(super()._get_file(path, local, **kwargs), cut)

    async def _info(self, *args, **kwargs):
        return await self._failing(super()._info(*args, **kwargs))

    async def _rm_file(self, *args, **kwargs):
        return await self._failing(super()._rm_file(*args, **kwargs))

    async def _failing(self, work, shortened=lambda result: result):
        failure = FAILURES.next_failure()
        try:
            raise_before(failure)
        except OSError:
            work.close()
            raise
        result = await work
        raise_after(failure)
        return shortened(result) if failure == "short" else result


register_implementation("flaky", Flaky, clobber=True)
register_implementation("flakys3", FlakyS3, clobber=True)


def visible_in_flaky(address: str) -> dict[str, bytes]:
    """As `visible`, for `Flaky`; this read never fails."""
    root = Flaky._strip_protocol(address)
    files = {path.removeprefix(f"{root}/"): file.getvalue() for path, file in dict(Flaky.store).items()}
    return {name: raw for name, raw in files.items() if "/" not in name and not name.startswith(".")}


def retry_at_once(monkeypatch) -> None:
    """Do not wait before a failed call is retried."""
    monkeypatch.setattr(addresses, "FIRST_WAIT", 0.0)


def rows_of(cache) -> np.ndarray:
    """All features of a cache, without those of skipped rows."""
    return cache[cache.good_rows]
