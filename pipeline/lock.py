"""One writer per folder: a lock that dies with its process and says who holds it."""

import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from pipeline.errors import CacheError


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Hold the folder's write lock for the block.

    The lock is the kernel's (a POSIX record lock): it ends with the process, also by `kill -9`, and is not inherited
    by worker processes.

    Raises:
        CacheError: another process holds it; the message names it.
    """
    path = folder / ".lock"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = path.open("a+", encoding="utf-8")
    except OSError as error:
        raise CacheError(f"{folder}: cannot be written to ({error.strerror}). Choose another output folder.") from None
    with file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise CacheError(
                f"{folder}: another extraction is writing here ({_holder(path)}). "
                "Wait for it to end, or stop it; what it has finished is kept."
            ) from None
        file.truncate(0)
        started = datetime.now(UTC).isoformat(timespec="seconds")
        json.dump({"pid": os.getpid(), "host": socket.gethostname(), "started": started}, file)
        file.flush()
        yield


def _holder(path: Path) -> str:
    try:
        holder = json.loads(path.read_text(encoding="utf-8"))
        return f"process {holder['pid']} on {holder['host']} since {holder['started']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "it has not said who it is yet"
