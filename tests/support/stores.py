"""Places for caches in tests: what is visible in them, and a file system that fails on purpose."""

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

from expclip_cache.cache.format import INDEX, MANIFEST
from expclip_cache.cache.header import SEALED_FROM, digest_of, sealed_digest
from expclip_cache.cache.stores import remote


def visible(address: str) -> dict[str, bytes]:
    """The content of every file with a final name; whatever else is there, leases apart, starts with a dot."""
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


def assert_whole(files: dict[str, bytes]) -> None:
    """Every shard among the files is all that its checksum covers."""
    for name, raw in files.items():
        if name.startswith("shard-"):
            assert sealed_digest(raw[:SEALED_FROM]) == digest_of(raw[SEALED_FROM:]), f"{name} is not whole"


class Trouble:
    """What goes wrong, shared by every instance of a file system.

    Attributes:
        rate: share of the calls that fail.
        gone_after: number of calls after which all fail.
        calls, failed: how many there were.
        look: called after each call, whatever came of it.
    """

    def __init__(self):
        self.turn = threading.RLock()
        self.reset()

    def reset(self, rate: float = 0.0, seed: int = 0, gone_after: float = math.inf, look=lambda: None) -> None:
        self.rate, self.random, self.gone_after, self.look = rate, random.Random(seed), gone_after, look
        self.calls = self.failed = 0

    def fate(self) -> str | None:
        """What happens to the next call; None if nothing does."""
        self.calls += 1
        if self.calls > self.gone_after:
            return "raises"
        if self.random.random() >= self.rate:
            return None
        self.failed += 1
        return self.random.choice(["raises", "times out", "short", "breaks after"])


TROUBLE = Trouble()


def raise_early(fate: str | None) -> None:
    if fate == "raises":
        raise OSError(5, "Input/output error, on purpose")
    if fate == "times out":
        raise TimeoutError("on purpose")


def raise_late(fate: str | None) -> None:
    if fate == "breaks after":
        raise ConnectionResetError(104, "Connection reset by peer, on purpose")


def troubled(name: str):
    """A method that fails as `TROUBLE` has it: before it did anything, after it did it all, or having done a part."""

    def method(self, path, *args, **kwargs):
        with TROUBLE.turn:
            try:
                fate = TROUBLE.fate()
                raise_early(fate)
                result = getattr(super(Flaky, self), name)(path, *args, **kwargs)
                if fate == "short":
                    result = shorten(self, name, path, args, result)
                raise_late(fate)
                return result
            finally:
                TROUBLE.look()

    return method


def shorten(filesystem: MemoryFileSystem, name: str, path: str, args: tuple, result):
    """Leave the part that came through of a read or a write; other calls are as good as whole."""
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
    """Memory that fails. Its writes may be short, so nothing may be written under its final name."""

    protocol = "flaky"
    store: ClassVar[dict] = {}
    pseudo_dirs: ClassVar[list] = [""]

    @classmethod
    def _strip_protocol(cls, path):
        return super()._strip_protocol(str(path).replace("flaky://", "memory://"))

    cat_file, put_file, get_file = troubled("cat_file"), troubled("put_file"), troubled("get_file")
    info, ls, mv = troubled("info"), troubled("ls"), troubled("mv")
    makedirs, rm_file = troubled("makedirs"), troubled("rm_file")


class FlakyS3(S3FileSystem):
    """S3 that fails. A PUT comes through whole or not at all, as S3 has it; whether it did is not always said."""

    protocol = ("s3", "s3a", "flakys3")

    async def _put_file(self, *args, **kwargs):
        return await self._troubled(super()._put_file(*args, **kwargs))

    async def _cat_file(self, *args, **kwargs):
        return await self._troubled(super()._cat_file(*args, **kwargs), lambda found: found[: len(found) // 2])

    async def _get_file(self, path, local, **kwargs):
        def cut(_):
            Path(local).write_bytes(Path(local).read_bytes()[:-1])

        return await self._troubled(super()._get_file(path, local, **kwargs), cut)

    async def _info(self, *args, **kwargs):
        return await self._troubled(super()._info(*args, **kwargs))

    async def _rm_file(self, *args, **kwargs):
        return await self._troubled(super()._rm_file(*args, **kwargs))

    async def _troubled(self, work, shortened=lambda result: result):
        fate = TROUBLE.fate()
        try:
            raise_early(fate)
        except OSError:
            work.close()
            raise
        result = await work
        raise_late(fate)
        return shortened(result) if fate == "short" else result


register_implementation("flaky", Flaky, clobber=True)
register_implementation("flakys3", FlakyS3, clobber=True)


def visible_in_flaky(address: str) -> dict[str, bytes]:
    """As `visible`, past all trouble."""
    root = Flaky._strip_protocol(address)
    files = {path.removeprefix(f"{root}/"): file.getvalue() for path, file in dict(Flaky.store).items()}
    return {name: raw for name, raw in files.items() if "/" not in name and not name.startswith(".")}


def no_waiting(monkeypatch) -> None:
    """Failed calls are tried again at once."""
    monkeypatch.setattr(remote, "FIRST_WAIT", 0.0)


def rows_of(cache) -> np.ndarray:
    """All features of a cache, unreadable rows left out."""
    return cache[cache.good_rows]
