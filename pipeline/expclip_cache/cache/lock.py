"""One writer per shard: locks that end with their process and name their holder."""

import errno
import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

from expclip_cache.base import CacheError, ReadOnlyCacheError, make_folder, open_shared

NAME = ".lock"
INDEX_BYTE = 1 << 40
"""Byte k of the lock file stands for shard k, this byte for the index."""


@dataclass(frozen=True)
class Claim:
    """The right to write some shards of a folder, or all of it.

    Attributes:
        signature: what the holder wrote into the lock file, see `is_signed`.
    """

    file: TextIO
    whole: bool
    signature: str

    @contextmanager
    def index(self) -> Iterator[None]:
        """Hold the right to write the index as well; waits for whoever has it now."""
        if self.whole:
            yield
            return
        fcntl.lockf(self.file, fcntl.LOCK_EX, 1, INDEX_BYTE)
        try:
            yield
        finally:
            fcntl.lockf(self.file, fcntl.LOCK_UN, 1, INDEX_BYTE)


@contextmanager
def writing(folder: Path, shards: range | None = None) -> Iterator[Claim]:
    """Hold the right to write some shards of a folder for the block; other processes may write other shards.

    The locks are the kernel's (POSIX record locks on one file): they end with the process, also by `kill -9`, and
    worker processes do not inherit them.

    Args:
        shards: their numbers; None for all that exist or could exist, and the index.

    Raises:
        CacheError: another process holds one of them, which the message names; or the folder cannot be written to or
            locked.
    """
    path = folder / NAME
    claimed = range(INDEX_BYTE + 1) if shards is None else shards
    try:
        make_folder(folder)
        file = os.fdopen(open_shared(path, os.O_RDWR | os.O_APPEND | os.O_CREAT), "a+", encoding="utf-8")
    except OSError as error:
        kind = ReadOnlyCacheError if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM) else CacheError
        raise kind(f"{folder}: cannot be written to ({error.strerror}). Choose another output folder.") from None
    with file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, len(claimed), claimed.start)
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EAGAIN):
                raise CacheError(
                    f"{folder}: cannot be locked ({error.strerror}), so a second run could write there too. "
                    "Choose a folder on a file system that supports locks."
                ) from None
            raise CacheError(
                f"{folder}: another extraction is writing here ({_holder(path, claimed)}). "
                "Wait for it to end, or stop it; what it has finished is kept."
            ) from None
        yield Claim(file, shards is None, _sign(file, claimed))


def is_signed(folder: Path, signature: str) -> bool:
    """Whether a folder is the one that was signed, seen from another process, possibly on another machine.

    Not for the holder itself: opening and closing its own lock file would release the locks.
    """
    try:
        return signature in (folder / NAME).read_text(encoding="utf-8")
    except OSError:
        return False


def _sign(file: TextIO, claimed: range) -> str:
    """Write who holds the lock. The lock holds without this too, so a full disk is left for the first shard to report.

    Returns:
        What was written; empty if the disk is full.
    """
    started = datetime.now(UTC).isoformat(timespec="seconds")
    who = {"pid": os.getpid(), "host": socket.gethostname(), "started": started}
    line = json.dumps(who | {"shards": [claimed.start, claimed.stop]}) + "\n"
    try:
        os.write(file.fileno(), line.encode())
        # Other machines that share the folder read it.
        os.fdatasync(file.fileno())
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        return ""
    return line


def _holder(path: Path, claimed: range) -> str:
    """The last process that signed for one of these shards and may still hold them."""
    try:
        for line in reversed(path.read_text(encoding="utf-8").splitlines()):
            who = json.loads(line)
            overlap = range(max(who["shards"][0], claimed.start), min(who["shards"][1], claimed.stop))
            if overlap and (who["host"] != socket.gethostname() or may_be_alive(who["pid"])):
                return f"process {who['pid']} on {who['host']} since {who['started']}"
    except (OSError, ValueError, KeyError, TypeError, IndexError, OverflowError, RecursionError):
        pass
    return "which has not named itself yet"


def may_be_alive(pid: int) -> bool:
    """Whether another process of this machine has this id now."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return pid != os.getpid()
