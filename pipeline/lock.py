"""One writer per shard: locks that die with their process and say who holds them."""

import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from pipeline.errors import CacheError

NAME = ".lock"


@contextmanager
def writing(folder: Path, shards: range) -> Iterator[None]:
    """Hold the right to write some shards of a folder for the block; other shards are free for other processes.

    The locks are the kernel's (POSIX record locks, byte k of one file for shard k): they end with the process, also
    by `kill -9`, and worker processes do not inherit them.

    Raises:
        CacheError: another process holds one of them; the message names it. Or the folder cannot be written to.
    """
    path = folder / NAME
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = path.open("a+", encoding="utf-8")
    except OSError as error:
        raise CacheError(f"{folder}: cannot be written to ({error.strerror}). Choose another output folder.") from None
    with file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, max(len(shards), 1), shards.start)
        except OSError:
            raise CacheError(
                f"{folder}: another extraction is writing here ({_holder(path, shards)}). "
                "Wait for it to end, or stop it; what it has finished is kept."
            ) from None
        started = datetime.now(UTC).isoformat(timespec="seconds")
        who = {"pid": os.getpid(), "host": socket.gethostname(), "started": started}
        file.write(json.dumps(who | {"shards": [shards.start, shards.stop]}) + "\n")
        file.flush()
        yield


def _holder(path: Path, shards: range) -> str:
    """The last to have signed for one of these shards and still be there to hold them."""
    try:
        for line in reversed(path.read_text(encoding="utf-8").splitlines()):
            who = json.loads(line)
            overlap = range(max(who["shards"][0], shards.start), min(who["shards"][1], shards.stop))
            if overlap and _may_live(who["pid"], who["host"]):
                return f"process {who['pid']} on {who['host']} since {who['started']}"
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return "it has not said who it is yet"


def _may_live(pid: int, host: str) -> bool:
    if host != socket.gethostname():
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return pid != os.getpid()
