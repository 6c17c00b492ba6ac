"""Places for caches in tests: what is visible in them, and a file system that fails on purpose."""

import random
import threading
from pathlib import Path

import numpy as np
from fsspec import register_implementation
from fsspec.core import url_to_fs
from fsspec.implementations.memory import MemoryFileSystem

from pipeline.shards import remote
from pipeline.shards.header import SEALED_FROM, digest_of, sealed_digest
from pipeline.shards.schema import INDEX, MANIFEST


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
        rate: share of the calls that fail; 1 is a store that is gone.
        calls, failed: how many there were.
        after: called after each call, whatever came of it.
    """

    def __init__(self):
        self.turn = threading.RLock()
        self.reset()

    def reset(self, rate: float = 0.0, seed: int = 0, after=lambda: None) -> None:
        self.rate, self.random, self.after = rate, random.Random(seed), after
        self.calls = self.failed = 0

    def strikes(self) -> str | None:
        """The next call's fate."""
        with self.turn:
            self.calls += 1
            if self.random.random() >= self.rate:
                return None
            self.failed += 1
            return self.random.choice(["raises", "times out", "short", "breaks after"])


TROUBLE = Trouble()


def _troubled(name: str):
    """A method that fails as `TROUBLE` has it: before it did anything, after it did it all, or having done a part."""

    def method(self, *args, **kwargs):
        fate = TROUBLE.strikes()
        try:
            if fate == "raises":
                raise OSError(5, "Input/output error, on purpose")
            if fate == "times out":
                raise TimeoutError("on purpose")
            with TROUBLE.turn:
                result = getattr(super(Flaky, self), name)(*args, **kwargs)
                if fate == "short":
                    result = self.shortened(name, args, result)
            if fate == "breaks after":
                raise ConnectionResetError(104, "Connection reset by peer, on purpose")
            return result
        finally:
            TROUBLE.after()

    return method


class Flaky(MemoryFileSystem):
    """Memory that fails. A rename is one step, as on a real file system."""

    protocol = "flaky"
    store, pseudo_dirs = {}, [""]
    cachable = False

    @classmethod
    def _strip_protocol(cls, path):
        return super()._strip_protocol(str(path).replace("flaky://", "memory://"))

    def shortened(self, name, args, result):
        """The part that came through of a read or a write; other calls are as good as whole."""
        if name == "cat_file":
            return result[: len(result) // 2]
        if name == "put_file":
            path = self._strip_protocol(args[1])
            raw = self.store[path].getvalue()
            self.store[path].seek(0)
            self.store[path].truncate(len(raw) // 2)
        if name == "get_file":
            with Path(args[1]).open("r+b") as file:
                file.truncate(file.seek(0, 2) // 2)
        return result

    cat_file, put_file, get_file = _troubled("cat_file"), _troubled("put_file"), _troubled("get_file")
    info, ls, mv = _troubled("info"), _troubled("ls"), _troubled("mv")
    makedirs, rm_file = _troubled("makedirs"), _troubled("rm_file")


register_implementation("flaky", Flaky, clobber=True)


def no_waiting(monkeypatch) -> None:
    """Failed calls are tried again at once."""
    monkeypatch.setattr(remote, "FIRST_WAIT", 0.0)


def rows_of(cache) -> np.ndarray:
    """All features of a cache, unreadable rows left out."""
    return cache.features(cache.good_rows)
