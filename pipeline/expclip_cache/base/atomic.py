"""Atomic file writes: a file is complete or it does not exist."""

import errno
import os
import secrets
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from expclip_cache.base.errors import CacheError

NO_FOLDER_SYNC = {errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}
"""Error numbers of a file system on which folders cannot be synced."""


def write_atomically(path: Path, *parts: bytes | memoryview) -> None:
    """Write the concatenated parts to `path`, atomically and durably.

    The data are synced to disk before the file is renamed to its final name, and the rename is synced before this
    returns. A crash at any moment leaves either the old file or the new one. The temporary name starts with a dot and
    ends in `.tmp`.

    Raises:
        CacheError: the disk is full, the folder is not writable or a size limit is reached; no temporary file is left.
    """
    with atomic_file(path) as temporary, temporary.open("xb") as file:
        for part in parts:
            file.write(part)
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Give a temporary path to write the whole file to; it is renamed to `path` when the block ends.

    The block syncs the data itself (`os.fsync`); the rename is synced here.

    Raises:
        CacheError: as for `write_atomically`. If the block raises, `path` is unchanged and no temporary file is left.
    """
    # The random part: machines that share a folder may use the same process id.
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
    try:
        try:
            yield temporary
            os.replace(temporary, path)  # noqa: PTH105 - the call that the fault tests interrupt
            _sync_folder(path.parent)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise CacheError(
            f"{path.parent}: {path.name} cannot be written ({error.strerror}). Free some space or choose another "
            "folder, then run the same command again."
        ) from None


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, durably: what is written into them survives a power cut.

    Raises:
        OSError: one cannot be made, or is a file.
    """
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for path in missing:
        _sync_folder(path.parent)


def remove_temporaries(folder: Path, names: Collection[str] | None) -> None:
    """Delete temporary files that killed runs left for these file names (None: for any); no run may be writing them."""
    for left in folder.glob(".*.tmp"):
        if names is None or final_name(left.name) in names:
            left.unlink(missing_ok=True)


def final_name(temporary: str) -> str:
    """The final name of the file that has this temporary name; final names contain exactly one dot.

    >>> final_name(".shard-00003.h5.77.1a2b3c4d.tmp")
    'shard-00003.h5'
    """
    return ".".join(temporary[1:].split(".")[:2])


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Windows shares and others: they sync folders by themselves, or not at all, but keep files as well as any.
        if error.errno not in NO_FOLDER_SYNC:
            raise
    finally:
        os.close(descriptor)
