"""Files that several processes write in place, in folders that other people may write to as well."""

import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def open_shared(path: Path, flags: int, mode: int = 0o666) -> int:
    """Open a plain file to be written in place. Links are not followed.

    Somebody who may write to the folder could otherwise have any file of this user written to.

    Args:
        flags: of `os.open`; with `os.O_CREAT` the file is made if it is not there.
        mode: of a file that is made, less the umask.

    Returns:
        A file descriptor.

    Raises:
        OSError: the file cannot be opened, is not a plain file, or is a link, symbolic or hard.
    """
    refusal = OSError(errno.ELOOP, f"{path.name} is a link or not a plain file", str(path))
    try:
        descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, mode)
    except OSError as error:
        raise refusal if error.errno in (errno.ELOOP, errno.ENXIO, errno.EISDIR) else error from None
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
        os.close(descriptor)
        raise refusal
    return descriptor


def belongs_to_another(path: Path, descriptor: int) -> bool:
    """Whether an open file belongs neither to this user nor to whoever owns its folder."""
    return os.fstat(descriptor).st_uid not in (os.geteuid(), path.parent.stat().st_uid)


@contextmanager
def sole_process(lock: Path) -> Iterator[None]:
    """Wait until no other process is in such a block with this file.

    The lock is the kernel's and ends with the process.

    Raises:
        OSError: the file cannot be opened, see `open_shared`.
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(open_shared(lock, os.O_WRONLY | os.O_CREAT), "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
